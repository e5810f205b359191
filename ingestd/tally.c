#include "ingestd/tally.h"

/* System */
#include <fcntl.h>
#include <sys/statvfs.h>

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/orders.h"
#include "ingestd/seals.h"

/* The gauge that a task belongs to; COUNTERS: none. */
static enum counter gauge_of(const struct task *t)
{
	switch (t->state) {
	case TRANSFER_QUEUED:
		return COUNT_INGESTS_QUEUED;
	case TRANSFER_FETCHING:
		return t->until_s > 0 ? COUNT_INGESTS_FOR_TIME : COUNT_INGESTS_FETCHING;
	case TRANSFER_SEALED:
		return COUNT_INGESTS_SEALED;
	case TRANSFER_FAILED:
		return COUNT_INGESTS_FAILED;
	case TRANSFER_WAITING:
		return t->space_wait  ? COUNT_INGESTS_FOR_SPACE
		       : t->lock_wait ? COUNT_INGESTS_FOR_LOCK
				      : COUNT_INGESTS_FOR_ASKER;
	case TRANSFER_COMMITTED:
		break;
	}
	return COUNTERS;
}

static void count_tasks(const struct desk *desk)
{
	uint64_t rate = 0, orders_due = 0, seals_due = 0;

	for (enum counter c = COUNT_INGESTS_QUEUED; c <= COUNT_INGESTS_FOR_ASKER; c++)
		count_set(c, 0);
	for (size_t i = 0; i < desk->tasks.len; i++) {
		const struct task *t = desk->tasks.by_ref[i];
		enum counter gauge = gauge_of(t);
		if (gauge != COUNTERS)
			count_add(gauge, 1);
		rate += task_rate(t);
		orders_due += t->order_due;
		seals_due += t->seal_due;
	}
	count_set(COUNT_RATE, rate);
	count_set(COUNT_BACKLOG_ORDERS, orders_due);
	count_set(COUNT_BACKLOG_SEALS, seals_due);
}

static void count_space(const struct desk *desk)
{
	int fd = layout_ingest_fd(desk->home.layout);
	struct statvfs st = {0};

	count_set(COUNT_INGESTD_WRITES, faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0);
	if (fstatvfs(fd, &st) < 0)
		return;
	count_set(COUNT_SPACE_FREE, (uint64_t)st.f_bavail * st.f_frsize);
	count_set(COUNT_SPACE_SIZE, (uint64_t)st.f_blocks * st.f_frsize);
	count_set(COUNT_INODES_FREE, st.f_favail);
	count_set(COUNT_INODES_SIZE, st.f_files);
}

void tally_refresh(const struct desk *desk)
{
	count_tasks(desk);
	count_space(desk);
	orders_count(desk->orders);
	seals_count(desk->seals);
}
