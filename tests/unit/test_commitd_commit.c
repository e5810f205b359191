/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit, from every point at which an earlier run may have been interrupted, and against every kind of file in
 * place of an ingest or a blob.
 * Longer than 500 lines because the rows of one table are what a store may be left as.
 */

/* Own */
#include "tests/unit/test_commitd_seal.h"

/* System */
#include <sys/syscall.h>

/* The code under test */
#include "commitd/commit.h"
#include "commitd/custody.h"

#define REF    "some/ref"
#define TEXT   "the bytes"
#define OTHER  "tHe bytes"
#define VICTIM "do not touch"

static struct store st;
static const char *exchange_at_sync; /* a file that is replaced at the next fsync(2); NULL: none */
static const char *exchange_by;      /* by this file; NULL: it is written anew */

/* A file with the same inode, which a file system may give to the next file as well. */
static void write_anew(const char *path)
{
	static const struct timespec times[] = {{1, 0}, {1, 0}}; /* the clock of files may stand still for 4 ms */
	assert_int_equal(chmod(path, 0644), 0);
	write_text(path, OTHER);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Replaces the C library's function in this program. */
int fsync(int fd)
{
	const char *path = exchange_at_sync;
	exchange_at_sync = NULL;
	if (path && exchange_by)
		assert_int_equal(rename(exchange_by, path), 0);
	else if (path)
		write_anew(path);
	return (int)syscall(SYS_fsync, fd);
}

/* The files on disk before the commit begins. */
typedef void scene(const char *data, const char *blob, const char *victim);

static void scene_fresh(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	(void)victim;
	write_text(data, TEXT);
}

static void scene_moved(const char *data, const char *blob, const char *victim)
{
	(void)data;
	(void)victim;
	write_text(blob, TEXT);
}

static void scene_linked(const char *data, const char *blob, const char *victim)
{
	(void)victim;
	write_text(data, TEXT);
	assert_int_equal(link(data, blob), 0);
}

/* Interrupted after the data was taken and before it was named. */
static void scene_taken(const char *data, const char *blob, const char *victim)
{
	char taken[PATH_SIZE];
	(void)data;
	(void)blob;
	(void)victim;
	taken_from(&st, REF, taken);
	write_text(taken, TEXT);
}

/* Without renameat2: interrupted between link and unlink, on the way into or out of custody. */
static void scene_half_taken(const char *data, const char *blob, const char *victim)
{
	char taken[PATH_SIZE];
	(void)blob;
	(void)victim;
	write_text(data, TEXT);
	taken_from(&st, REF, taken);
	assert_int_equal(link(data, taken), 0);
}

static void scene_half_named(const char *data, const char *blob, const char *victim)
{
	char taken[PATH_SIZE];
	(void)data;
	(void)victim;
	write_text(blob, TEXT);
	taken_from(&st, REF, taken);
	assert_int_equal(link(blob, taken), 0);
}

/* Another ref has stored the same content. */
static void scene_taken_and_named(const char *data, const char *blob, const char *victim)
{
	scene_taken(data, blob, victim);
	write_text(blob, TEXT);
}

static void scene_taken_corrupt(const char *data, const char *blob, const char *victim)
{
	char taken[PATH_SIZE];
	(void)data;
	(void)blob;
	(void)victim;
	taken_from(&st, REF, taken);
	write_text(taken, OTHER);
}

static void scene_both(const char *data, const char *blob, const char *victim)
{
	(void)victim;
	write_text(data, TEXT);
	write_text(blob, TEXT);
}

static void scene_neither(const char *data, const char *blob, const char *victim)
{
	(void)data;
	(void)blob;
	(void)victim;
}

static void scene_no_ingest(const char *data, const char *blob, const char *victim)
{
	char dir[PATH_SIZE];
	(void)data;
	(void)blob;
	(void)victim;
	ingest_dir(&st, REF, dir);
	assert_int_equal(rmdir(dir), 0);
}

static void scene_no_ingest_moved(const char *data, const char *blob, const char *victim)
{
	scene_no_ingest(data, blob, victim);
	write_text(blob, TEXT);
}

static void scene_short(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	(void)victim;
	write_file(data, TEXT, strlen(TEXT) - 1, 0444);
}

static void scene_long(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	(void)victim;
	write_text(data, TEXT "!");
}

static void scene_writable(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	(void)victim;
	write_file(data, TEXT, strlen(TEXT), 0644);
}

static void scene_corrupt(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	(void)victim;
	write_text(data, OTHER);
}

static void scene_data_symlink(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	assert_int_equal(symlink(victim, data), 0);
}

static void scene_data_hardlink(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	assert_int_equal(link(victim, data), 0);
}

static void scene_data_fifo(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	(void)victim;
	assert_int_equal(mkfifo(data, 0444), 0);
}

static void scene_data_directory(const char *data, const char *blob, const char *victim)
{
	(void)blob;
	(void)victim;
	assert_int_equal(mkdir(data, 0755), 0);
}

static void scene_ingest_symlink(const char *data, const char *blob, const char *victim)
{
	char dir[PATH_SIZE];
	(void)data;
	(void)blob;
	(void)victim;
	ingest_dir(&st, REF, dir);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(symlink("../commit", dir), 0);
}

static void scene_blob_symlink(const char *data, const char *blob, const char *victim)
{
	write_text(data, TEXT);
	assert_int_equal(symlink(victim, blob), 0);
}

static void scene_blob_hardlink(const char *data, const char *blob, const char *victim)
{
	write_text(data, TEXT);
	assert_int_equal(link(victim, blob), 0);
}

static void scene_blob_fifo(const char *data, const char *blob, const char *victim)
{
	(void)victim;
	write_text(data, TEXT);
	assert_int_equal(mkfifo(blob, 0444), 0);
}

static void scene_blob_directory(const char *data, const char *blob, const char *victim)
{
	(void)victim;
	write_text(data, TEXT);
	assert_int_equal(mkdir(blob, 0755), 0);
}

/* A store copied with hard links. */
static void scene_both_backed_up(const char *data, const char *blob, const char *victim)
{
	char aside[PATH_SIZE];
	scene_both(data, blob, victim);
	(void)snprintf(aside, sizeof(aside), "%.200s/aside", st.path);
	assert_int_equal(link(blob, aside), 0);
}

static void scene_blob_short(const char *data, const char *blob, const char *victim)
{
	(void)victim;
	write_text(data, TEXT);
	write_text(blob, "short");
}

static void scene_blob_writable(const char *data, const char *blob, const char *victim)
{
	(void)victim;
	write_text(data, TEXT);
	write_file(blob, TEXT, strlen(TEXT), 0644);
}

static const struct row {
	const char *name;
	scene *scene;
	bool read_back;
	enum commit_step step;
	enum fail_class fail_class;
	bool found;
	bool data_left;
} rows[] = {
    {"fresh", scene_fresh, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"fresh, read back", scene_fresh, true, COMMIT_DONE, FAIL_NONE, false, false},
    {"cut after the move", scene_moved, false, COMMIT_DONE, FAIL_NONE, true, false},
    {"cut after the move, to be read back", scene_moved, true, COMMIT_DONE, FAIL_NONE, true, false},
    {"cut between link and unlink", scene_linked, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"cut after the taking", scene_taken, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"cut after the taking, to be read back", scene_taken, true, COMMIT_DONE, FAIL_NONE, false, false},
    {"cut between link and unlink when taken", scene_half_taken, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"cut between link and unlink when named", scene_half_named, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"taken, and named by another ref", scene_taken_and_named, false, COMMIT_DONE, FAIL_NONE, true, true},
    {"taken, wrong bytes, read back", scene_taken_corrupt, true, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"named by another ref", scene_both, false, COMMIT_DONE, FAIL_NONE, true, true},
    {"named, and linked elsewhere", scene_both_backed_up, false, COMMIT_DONE, FAIL_NONE, true, true},
    {"cut after the sealer's removal", scene_no_ingest_moved, false, COMMIT_DONE, FAIL_NONE, true, false},
    {"neither data nor blob", scene_neither, false, COMMIT_REJECTED, FAIL_MISSING, false, false},
    {"no ingest, no blob", scene_no_ingest, false, COMMIT_REJECTED, FAIL_MISSING, false, false},
    {"data a byte short", scene_short, false, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"data a byte long", scene_long, true, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"data writable", scene_writable, false, COMMIT_REJECTED, FAIL_MISSING, false, true},
    {"wrong bytes, read back", scene_corrupt, true, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"data a symlink", scene_data_symlink, false, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"data a hard link", scene_data_hardlink, false, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"data a fifo", scene_data_fifo, true, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"data a directory", scene_data_directory, false, COMMIT_REJECTED, FAIL_BAD_DATA, false, true},
    {"ingest a symlink", scene_ingest_symlink, false, COMMIT_REJECTED, FAIL_BAD_DATA, false, false},
    {"blob a symlink", scene_blob_symlink, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"blob a hard link", scene_blob_hardlink, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"blob a fifo", scene_blob_fifo, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"blob a directory", scene_blob_directory, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"blob of another size", scene_blob_short, false, COMMIT_DONE, FAIL_NONE, false, false},
    {"blob writable", scene_blob_writable, false, COMMIT_REJECTED, FAIL_IO, false, true},
};

static int setup(void **state)
{
	(void)state;
	store_open(&st);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(&st);
	return 0;
}

/* The commit of an ingest whose record says sealed. */
static void begin(struct commit *c, const char *ref, const struct digest *d, uint64_t size, bool read_back)
{
	ingest_note_as_sealed(&st, ref, d, size);
	commit_init(c, span_str(ref), d, size, read_back);
}

/* Run a commit like the daemon. */
static void commit_through(struct commit *c)
{
	commit_batch(st.layout, &c, 1);
	if (c->step == COMMIT_TO_READ) {
		commit_read_back(st.layout, c, NULL);
		commit_batch(st.layout, &c, 1);
	}
}

static void run_row(const struct row *row)
{
	struct digest d = digest_of_text(TEXT);
	char data[PATH_SIZE], blob[PATH_SIZE], taken[PATH_SIZE], victim[PATH_SIZE];
	struct commit c;

	ingest_make(&st, REF, NULL);
	ingest_data(&st, REF, data);
	blob_of(&st, &d, blob);
	(void)snprintf(victim, sizeof(victim), "%.200s/victim", st.path);
	write_text(victim, VICTIM);
	row->scene(data, blob, victim);

	begin(&c, REF, &d, strlen(TEXT), row->read_back);
	commit_through(&c);
	assert_int_equal(c.step, row->step);
	assert_int_equal(c.fail_class, row->fail_class);
	assert_int_equal(c.found, row->found);
	assert_int_equal(exists(data), row->data_left);
	if (row->step == COMMIT_DONE)
		assert_true(file_is(blob, TEXT));
	else
		assert_non_null(strstr(c.why.text, st.path));
	taken_from(&st, REF, taken);
	assert_false(exists(taken));

	/* Again, as after a lost receipt. */
	begin(&c, REF, &d, strlen(TEXT), row->read_back);
	commit_through(&c);
	assert_int_equal(c.step, row->step);
	assert_int_equal(c.fail_class, row->fail_class);

	struct stat victim_st;
	assert_int_equal(stat(victim, &victim_st), 0);
	assert_int_equal(victim_st.st_mode & 07777, 0444);
	AUTO_FD fd = open(victim, O_RDONLY | O_CLOEXEC);
	char text[sizeof(VICTIM)] = "";
	assert_int_equal(read(fd, text, sizeof(text)), strlen(VICTIM));
	assert_string_equal(text, VICTIM);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].name);
		(void)setup(state);
		run_row(&rows[i]);
		(void)teardown(state);
	}
}

static void test_mismatch_names_both_digests(void **state)
{
	struct digest want = digest_of_text(TEXT), actual = digest_of_text(OTHER);
	char want_text[DIGEST_TEXT_SIZE], actual_text[DIGEST_TEXT_SIZE], blob[PATH_SIZE];
	struct commit c;
	(void)state;
	digest_format(&want, want_text);
	digest_format(&actual, actual_text);
	blob_of(&st, &want, blob);
	ingest_make(&st, REF, OTHER);
	begin(&c, REF, &want, strlen(OTHER), true);
	commit_through(&c);
	assert_int_equal(c.fail_class, FAIL_BAD_DATA);
	assert_non_null(strstr(c.why.text, want_text));
	assert_non_null(strstr(c.why.text, actual_text));
	assert_false(exists(blob));
}

/*
 * A file that replaces the data during read-back is ignored: the file that was read gets the name. A file that its
 * owner changes meanwhile, through an open descriptor, is noticed, whatever times he sets.
 */
static void test_swap_while_read_back(void **state)
{
	struct digest d = digest_of_text(TEXT);
	char data[PATH_SIZE], blob[PATH_SIZE];
	struct commit c;
	struct commit *batch[] = {&c};
	(void)state;
	ingest_make(&st, REF, TEXT);
	ingest_data(&st, REF, data);
	blob_of(&st, &d, blob);
	begin(&c, REF, &d, strlen(TEXT), true);
	commit_batch(st.layout, batch, 1);
	assert_int_equal(c.step, COMMIT_TO_READ);
	assert_false(exists(data));
	write_text(data, OTHER);
	commit_read_back(st.layout, &c, NULL);
	assert_int_equal(c.step, COMMIT_NEW);
	commit_batch(st.layout, batch, 1);
	assert_int_equal(c.step, COMMIT_DONE);
	assert_true(file_is(blob, TEXT));
	assert_true(file_is(data, OTHER));
}

static void test_written_after_read_back(void **state)
{
	struct digest d = digest_of_text(TEXT);
	char data[PATH_SIZE], blob[PATH_SIZE];
	struct commit c;
	struct commit *batch[] = {&c};
	struct stat was, now;
	(void)state;
	ingest_make(&st, REF, TEXT);
	ingest_data(&st, REF, data);
	blob_of(&st, &d, blob);
	assert_int_equal(chmod(data, 0644), 0);
	AUTO_FD kept = open(data, O_WRONLY | O_CLOEXEC);
	assert_int_equal(fchmod(kept, 0444), 0);
	assert_int_equal(fstat(kept, &was), 0);
	begin(&c, REF, &d, strlen(TEXT), true);
	commit_batch(st.layout, batch, 1);
	commit_read_back(st.layout, &c, NULL);
	assert_int_equal(c.step, COMMIT_NEW);
	assert_int_equal(file_pwrite_all(kept, OTHER, strlen(OTHER), 0), 0);
	do { /* the file system's clock ticks slowly */
		assert_int_equal(futimens(kept, (struct timespec[]){was.st_atim, was.st_mtim}), 0);
		assert_int_equal(fstat(kept, &now), 0);
	} while (now.st_ctim.tv_sec == c.read_st.st_ctim.tv_sec && now.st_ctim.tv_nsec == c.read_st.st_ctim.tv_nsec);
	commit_batch(st.layout, batch, 1);
	assert_int_equal(c.step, COMMIT_REJECTED);
	assert_int_equal(c.fail_class, FAIL_MISSING);
	assert_false(exists(blob));
	assert_true(file_is(data, OTHER));
}

/* A seal names nothing that the ingest's record does not confirm. */
static void test_record_must_match_the_seal(void **state)
{
	struct digest d = digest_of_text(TEXT), other = digest_of_text(OTHER);
	char dir[PATH_SIZE], data[PATH_SIZE], blob[PATH_SIZE], record[PATH_SIZE + 16];
	(void)state;
	ingest_make(&st, REF, TEXT);
	ingest_dir(&st, REF, dir);
	ingest_data(&st, REF, data);
	(void)snprintf(record, sizeof(record), "%s/" INGEST_TRANSFER, dir);
	for (unsigned i = 0; i < 4; i++) {
		struct commit c;
		if (i == 1)
			write_text(record, "ref=" REF "\nsize=9\nend=1\n"); /* not sealed */
		else if (i > 1)
			ingest_note_as_sealed(&st, REF, i == 2 ? &other : &d, strlen(TEXT) + (i == 3));
		print_message("  %s\n", (const char *[]){"none", "not sealed", "another digest", "another size"}[i]);
		blob_of(&st, &d, blob);
		commit_init(&c, span_str(REF), &d, strlen(TEXT), i == 0); /* not even if its bytes are right */
		commit_through(&c);
		assert_int_equal(c.step, COMMIT_REJECTED);
		assert_int_equal(c.fail_class, FAIL_MISSING);
		assert_false(exists(blob));
		assert_true(file_is(data, TEXT));
	}
}

/* The seal does not identify a file, because its data was in custody. So the bytes are read back. */
static void test_seal_of_taken_data_is_read_back(void **state)
{
	static const struct {
		const char *name, *text;
		bool is_taken;
		enum commit_step want;
	} files[] = {
	    {"taken", TEXT, true, COMMIT_DONE},
	    {"put back", TEXT, false, COMMIT_DONE},
	    {"wrong", OTHER, true, COMMIT_REJECTED},
	    {"wrong and put back", OTHER, false, COMMIT_REJECTED},
	};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct digest d = digest_of_text(TEXT);
		char path[PATH_SIZE];
		struct commit c;
		print_message("  %s\n", files[i].name);
		(void)setup(state);
		ingest_make(&st, REF, NULL);
		if (files[i].is_taken)
			taken_from(&st, REF, path);
		else
			ingest_data(&st, REF, path);
		write_text(path, files[i].text);
		begin(&c, REF, &d, strlen(TEXT), false);
		commit_bind(&c, 0, 0);
		commit_through(&c);
		assert_int_equal(c.step, files[i].want);
		assert_int_equal(c.fail_class, files[i].want == COMMIT_DONE ? FAIL_NONE : FAIL_BAD_DATA);
		assert_int_equal(c.was_read, files[i].want == COMMIT_DONE);
		(void)teardown(state);
	}
}

/* Data in the custody of a commitd that died. */
static void test_custody_is_recovered(void **state)
{
	static const struct {
		const char *name;
		scene *scene;
		bool data_left;
	} scenes[] = {
	    {"taken", scene_taken, true},
	    {"half taken", scene_half_taken, true},
	    {"half named", scene_half_named, false},
	};
	char data[PATH_SIZE], blob[PATH_SIZE], taken[PATH_SIZE];
	struct digest d = digest_of_text(TEXT);
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		print_message("  %s\n", scenes[i].name);
		(void)setup(state);
		ingest_make(&st, REF, NULL);
		ingest_data(&st, REF, data);
		blob_of(&st, &d, blob);
		scenes[i].scene(data, blob, NULL);
		taken_from(&st, REF, taken);
		custody_recover(st.layout);
		assert_false(exists(taken));
		assert_int_equal(exists(data), scenes[i].data_left);
		/* Data of a removed ingest is dropped. */
		if (scenes[i].data_left)
			assert_int_equal(unlink(data), 0);
		scene_no_ingest(data, blob, NULL);
		scene_taken(data, blob, NULL);
		custody_recover(st.layout);
		assert_false(exists(taken));
		(void)teardown(state);
	}
}

/* Another commitd has claimed it: nothing is touched until that one is done or dead. */
static void test_claimed_data_is_left_alone(void **state)
{
	char data[PATH_SIZE], taken[PATH_SIZE];
	struct digest d = digest_of_text(TEXT);
	atomic_bool stop = true;
	struct commit c;
	struct commit *batch[] = {&c};
	int claim = -1, second = -1;
	(void)state;
	ingest_make(&st, REF, TEXT);
	ingest_data(&st, REF, data);
	taken_from(&st, REF, taken);
	begin(&c, REF, &d, strlen(TEXT), false);
	assert_int_equal(custody_claim(st.layout, c.id, &claim), 0);
	assert_int_equal(custody_claim(st.layout, c.id, &second), -EAGAIN);

	commit_batch(st.layout, batch, 1);
	commit_read_back(st.layout, &c, &stop);
	assert_int_equal(c.step, COMMIT_TO_READ);
	assert_true(file_is(data, TEXT));
	assert_int_equal(rename(data, taken), 0);
	custody_recover(st.layout);
	assert_true(file_is(taken, TEXT));

	(void)close(claim);
	custody_recover(st.layout);
	assert_true(file_is(data, TEXT));
	commit_through(&c);
	assert_int_equal(c.step, COMMIT_DONE);
}

/* Data that is exchanged after it was checked and before it is taken goes back. `by`: see exchange_by. */
static void exchange_goes_back(const char *by)
{
	char data[PATH_SIZE], blob[PATH_SIZE], taken[PATH_SIZE];
	struct digest d = digest_of_text(TEXT);
	struct commit c;
	struct commit *batch[] = {&c};
	ingest_make(&st, REF, TEXT);
	exchange_by = by;
	ingest_data(&st, REF, data);
	blob_of(&st, &d, blob);
	taken_from(&st, REF, taken);
	begin(&c, REF, &d, strlen(TEXT), false);
	exchange_at_sync = data;
	commit_batch(st.layout, batch, 1);
	assert_null(exchange_at_sync);
	assert_int_equal(c.step, COMMIT_REJECTED);
	assert_int_equal(c.fail_class, FAIL_MISSING);
	assert_non_null(strstr(c.why.text, "exchanged for another file"));
	assert_true(file_is(data, OTHER));
	assert_false(exists(taken));
	assert_false(exists(blob));
}

static void test_exchanged_data_goes_back(void **state)
{
	char other[PATH_SIZE];
	(void)state;
	ingest_make(&st, "other/ref", OTHER);
	ingest_data(&st, "other/ref", other);
	exchange_goes_back(other);
}

static void test_data_that_is_written_anew_goes_back(void **state)
{
	(void)state;
	exchange_goes_back(NULL);
}

static void test_read_back_stops(void **state)
{
	struct digest d = digest_of_text(TEXT);
	atomic_bool stop = true;
	struct commit c;
	struct commit *batch[] = {&c};
	(void)state;
	ingest_make(&st, REF, TEXT);
	begin(&c, REF, &d, strlen(TEXT), true);
	commit_batch(st.layout, batch, 1);
	commit_read_back(st.layout, &c, &stop);
	assert_int_equal(c.step, COMMIT_TO_READ);
}

static void test_sha512_large(void **state)
{
	size_t len = 3u << 20;
	AUTO_FREE char *text = malloc(len + 1);
	struct digest d;
	struct commit c;
	char blob[PATH_SIZE];
	struct stat blob_st;
	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	digest_of(HASH_SHA512, text, len, &d);
	ingest_make(&st, REF, text);
	begin(&c, REF, &d, len, true);
	commit_through(&c);
	assert_int_equal(c.step, COMMIT_DONE);
	assert_true(c.was_read);
	blob_of(&st, &d, blob);
	assert_int_equal(stat(blob, &blob_st), 0);
	assert_int_equal(blob_st.st_size, len);
	assert_int_equal(blob_st.st_mode & 07777, 0444);
}

static size_t count_open(void)
{
	AUTO_DIR dir = opendir("/proc/self/fd");
	size_t count = 0;
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count;
}

/* Fifty at once: some good, some bad, some twice. Each gets its own answer, and no descriptor is left open. */
static void test_batch(void **state)
{
	struct commit commits[50];
	struct commit *batch[50];
	char ref[32], text[32], path[PATH_SIZE];
	size_t open_before = count_open();
	(void)state;
	for (size_t i = 0; i < 50; i++) {
		(void)snprintf(ref, sizeof(ref), "ref-%zu", i);
		(void)snprintf(text, sizeof(text), "text %02zu", i % 40); /* the last ten repeat the first ten */
		struct digest d = digest_of_text(text);
		ingest_make(&st, ref, i % 7 == 3 ? "wrong size" : text);
		begin(&commits[i], ref, &d, strlen(text), i >= 10 && i < 40 && i % 11 == 5);
		batch[i] = &commits[i];
	}
	commit_batch(st.layout, batch, 50);
	for (size_t i = 0; i < 50; i++) {
		if (commits[i].step == COMMIT_TO_READ)
			commit_read_back(st.layout, &commits[i], NULL);
	}
	commit_batch(st.layout, batch, 50);
	for (size_t i = 0; i < 50; i++) {
		struct digest d = commits[i].digest;
		bool bad = i % 7 == 3, repeated = i >= 40 && (i - 40) % 7 != 3;
		(void)snprintf(text, sizeof(text), "text %02zu", i % 40);
		blob_of(&st, &d, path);
		assert_int_equal(commits[i].step, bad && !repeated ? COMMIT_REJECTED : COMMIT_DONE);
		assert_int_equal(commits[i].found, repeated);
		if (!bad)
			assert_true(file_is(path, text));
		assert_int_equal(commits[i].dir_fd, -1);
	}
	assert_int_equal(count_open(), open_before);
}

/* ingest/ is made by ingestd, perhaps after we opened the store. */
static void test_no_ingest_directory(void **state)
{
	struct digest d = digest_of_text(TEXT);
	struct commit c;
	(void)state;
	assert_int_equal(unlinkat(layout_root_fd(st.layout), LAYOUT_INGEST, AT_REMOVEDIR), 0);
	begin(&c, REF, &d, strlen(TEXT), false);
	commit_through(&c);
	assert_int_equal(c.fail_class, FAIL_MISSING);
	assert_int_equal(mkdirat(layout_root_fd(st.layout), LAYOUT_INGEST, 0755), 0);
	ingest_make(&st, REF, TEXT);
	begin(&c, REF, &d, strlen(TEXT), false);
	commit_through(&c);
	assert_int_equal(c.step, COMMIT_DONE);
}

/* Content written after the seal is not named, even if everything else matches. */
static void test_bound_to_the_sealed_file(void **state)
{
	static const struct bind_row {
		uint64_t ino_off, mtime_off;
		enum commit_step want;
	} files[] = {
	    {0, 1, COMMIT_REJECTED}, /* written again */
	    {1, 0, COMMIT_REJECTED}, /* another file */
	    {0, 0, COMMIT_DONE},
	};
	struct message seal = {0};
	struct digest d = digest_of_text(TEXT);

	(void)state;
	ingest_make(&st, REF, TEXT);
	store_bind_seal(&st, REF, &seal);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct commit c;
		begin(&c, REF, &d, strlen(TEXT), false);
		commit_bind(&c, seal.ino + files[i].ino_off, seal.mtime_ns + files[i].mtime_off);
		commit_through(&c);
		assert_int_equal(c.step, files[i].want);
		assert_int_equal(c.fail_class, files[i].want == COMMIT_DONE ? FAIL_NONE : FAIL_MISSING);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test_setup_teardown(test_mismatch_names_both_digests, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_swap_while_read_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_written_after_read_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_record_must_match_the_seal, setup, teardown),
	    cmocka_unit_test(test_seal_of_taken_data_is_read_back),
	    cmocka_unit_test(test_custody_is_recovered),
	    cmocka_unit_test_setup_teardown(test_claimed_data_is_left_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_exchanged_data_goes_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_data_that_is_written_anew_goes_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_back_stops, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sha512_large, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_ingest_directory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bound_to_the_sealed_file, setup, teardown),
	};
	return cmocka_run_group_tests_name("commitd commit", tests, NULL, NULL);
}
