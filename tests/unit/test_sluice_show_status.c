/* SPDX-License-Identifier: Apache-2.0 */
/* The status of transfers from the store, without a daemon. */

/* Own */
#include "tests/unit/unit_dir.h"

/* Store */
#include "common/store/record.h"

/* The code under test */
#include "sluice/show/status.h"

/* An ingest directory with that record and amount of data. */
static void ingest(struct record *record, const char *ref, const char *data)
{
	char id[INGEST_ID_SIZE], name[FILE_PATH_SIZE];
	AUTO_BUF text = BUF_INIT;

	(void)snprintf(record->ref, sizeof(record->ref), "%s", ref);
	layout_ingest_id(span_str(ref), id);
	(void)snprintf(name, sizeof(name), "ingest/%s", id);
	assert_int_equal(mkdirat(dir.fd, name, 0755), 0);
	assert_int_equal(record_format(record, &text), 0);
	(void)snprintf(name, sizeof(name), "ingest/%s/transfer", id);
	unit_write(&dir, name, text.data, text.len);
	(void)snprintf(name, sizeof(name), "ingest/%s/data", id);
	if (data)
		unit_write_text(&dir, name, data);
}

static void test_status_without_a_daemon(void **state)
{
	struct layout *layout;
	struct record record;
	struct status_list list = {.rows = NULL};
	struct status one;
	char id[INGEST_ID_SIZE], name[FILE_PATH_SIZE];
	struct reason why;
	(void)state;
	unit_write_text(&dir, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_int_equal(mkdirat(dir.fd, "ingest", 0755), 0);
	assert_int_equal(layout_open(dir.path, LAYOUT_READER, &layout, &why), 0);
	record_init(&record);
	record.started_s = 1000;
	ingest(&record, "ref:b", "12345");
	record.failed = FAIL_NOT_FOUND;
	reason_set(&record.why, "it is gone");
	ingest(&record, "ref:a", NULL);
	assert_int_equal(mkdirat(dir.fd, "ingest/something-else", 0755), 0);

	assert_int_equal(status_list_of_store(layout, &list), 0);
	assert_int_equal(list.len, 2);
	assert_string_equal(list.rows[0].ref, "ref:a");
	assert_int_equal(list.rows[0].state, TRANSFER_FAILED);
	assert_string_equal(list.rows[0].text, "it is gone");
	assert_int_equal(list.rows[0].offset, 0);
	assert_string_equal(list.rows[1].ref, "ref:b");
	assert_int_equal(list.rows[1].state, TRANSFER_WAITING);
	assert_int_equal(list.rows[1].offset, 5);
	assert_int_equal(list.rows[1].started_s, 1000);
	status_list_release(&list);

	assert_int_equal(status_of_store(layout, span_str("ref:b"), &one, &why), 0);
	assert_int_equal(status_of_store(layout, span_str("ref:c"), &one, &why), -ENOENT);

	/* A transfer with a damaged record is omitted from the list, and reported when it is requested by ref. */
	ingest(&record, "ref:d", NULL);
	layout_ingest_id(span_str("ref:d"), id);
	(void)snprintf(name, sizeof(name), "ingest/%s/transfer", id);
	unit_write_text(&dir, name, "ref=ref:d\n");
	assert_int_equal(status_of_store(layout, span_str("ref:d"), &one, &why), -EBADMSG);
	assert_non_null(strstr(why.text, "record is not usable"));
	assert_int_equal(status_list_of_store(layout, &list), 0);
	assert_int_equal(list.len, 2);
	status_list_release(&list);
	layout_free(layout);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_status_without_a_daemon, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("sluice status", tests, NULL, NULL);
}
