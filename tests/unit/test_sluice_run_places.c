/* SPDX-License-Identifier: Apache-2.0 */
/* The places of the store and the runtime directory, by default or as configured. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <sysexits.h>
#include <unistd.h>

/* The code under test */
#include "sluice/run/places.h"

#define HEX_LEN 16

static const struct store_row {
	const char *name;
	struct places_world world;
	const char *want; /* NULL: there is none */
} stores[] = {
    {"root", {.uid = 0, .home = "/root", .data_home = "/x"}, "/var/lib/sluice"},
    {"user", {.uid = 1000, .home = "/home/u"}, "/home/u/.local/share/sluice"},
    {"data home", {.uid = 1000, .home = "/home/u", .data_home = "/data"}, "/data/sluice"},
    {"relative data home", {.uid = 1000, .home = "/home/u", .data_home = "data"}, "/home/u/.local/share/sluice"},
    {"empty data home", {.uid = 1000, .home = "/home/u", .data_home = ""}, "/home/u/.local/share/sluice"},
    {"no home", {.uid = 1000}, NULL},
};

static void test_default_store(void **state)
{
	const struct store_row *row;
	(void)state;
	for_each_row(row, stores)
	{
		char *path = NULL;
		int r = places_default_store(&row->world, &path);
		if (row->want ? r != 0 || strcmp(path, row->want) != 0 : r != -EINVAL)
			fail_msg("%s: %d, '%s'", row->name, r, path ? path : "");
		free(path);
	}
}

static const struct root_row {
	const char *name, *store, *want; /* "HEX" stands for the digits */
	bool private;
} roots[] = {
    {"root's default", "/var/lib/sluice", "/run/sluice", false},
    {"root's other", "/srv/s", "/run/sluice-HEX", true},
};

static void assert_place(const char *name, const struct places_world *world, const char *store, const char *want,
			 bool want_private)
{
	char path[RUNTIME_DIR_MAX + 1];
	bool private;
	places_derive_runtime(world, store, path, &private);
	const char *hex = strstr(want, "HEX");
	size_t head = hex ? (size_t)(hex - want) : strlen(want);
	if (strncmp(path, want, head) != 0 || strlen(path) != head + (hex ? HEX_LEN : 0) || private != want_private)
		fail_msg("%s: '%s', not '%s'", name, path, want);
}

static void test_runtime_of_root(void **state)
{
	const struct root_row *row;
	(void)state;
	for_each_row(row, roots)
	    assert_place(row->name, &(struct places_world){.uid = 0, .runtime_home = "/run/user/0"}, row->store,
			 row->want, row->private);
}

/*
 * A place that is not private to the user is skipped: because of its owner, mode or length, or because it is missing.
 */
static void test_runtime_of_a_user(void **state)
{
	static const struct {
		const char *name, *xdg, *run_user, *home, *store, *want; /* below the directory; NULL: not set */
		mode_t mode;                                             /* of "mine" */
		bool is_others;                                          /* "mine" belongs to another user */
	} rows[] = {
	    {"XDG_RUNTIME_DIR", "mine", NULL, "home", "s", "mine/sluice-HEX", 0700, false},
	    {"others can read it", "mine", NULL, "home", "s", "mine/sluice-HEX", 0755, false},
	    {"others can write", "mine", NULL, "home", "s", "home/.sluice-HEX", 0777, false},
	    {"the group can write", "mine", NULL, "home", "s", "home/.sluice-HEX", 0770, false},
	    {"sticky, anybody can write", "mine", NULL, "home", "s", "home/.sluice-HEX", 01777, false},
	    {"another user's", "mine", NULL, "home", "s", "home/.sluice-HEX", 0700, true},
	    {"missing", "none", NULL, "home", "s", "home/.sluice-HEX", 0700, false},
	    {"a file", "file", NULL, "home", "s", "home/.sluice-HEX", 0700, false},
	    {"systemd's directory of the user", NULL, "users", "home", "s", "users/UID/sluice-HEX", 0700, false},
	    {"a state directory", NULL, NULL, "state", "s", "state/.local/state/sluice-HEX", 0700, false},
	    {"no home", NULL, NULL, NULL, "mine", "mine/.run", 0700, false},
	    {"no home, and a new store", NULL, NULL, "none", "mine/new", "mine/new/.run", 0700, false},
	    {"another user's store", NULL, NULL, NULL, "mine", "none/UID/sluice-HEX", 0700, true},
	};
	uid_t uid = geteuid() == 0 ? 1000 : geteuid();
	struct unit_dir d;
	char user[FILE_PATH_SIZE], number[32];
	(void)state;
	if (geteuid() != 0)
		skip(); /* needs to change owners */
	unit_dir_make(&d);
	(void)snprintf(number, sizeof(number), "%u", (unsigned)uid);
	(void)snprintf(user, sizeof(user), "users/%s", number);
	const char *const made[] = {"mine", "home", "users", user, "state", "state/.local", "state/.local/state"};
	for (size_t i = 0; i < LEN(made); i++) {
		assert_int_equal(mkdirat(d.fd, made[i], 0700), 0);
		assert_int_equal(fchownat(d.fd, made[i], uid, uid, 0), 0);
	}
	unit_write_text(&d, "file", "x");
	for (size_t i = 0; i < LEN(rows); i++) {
		char xdg[FILE_PATH_SIZE], run_user[FILE_PATH_SIZE], home[FILE_PATH_SIZE], store[FILE_PATH_SIZE];
		char below[128], want[FILE_PATH_SIZE];
		const char *number_at = strstr(rows[i].want, "UID");
		const struct places_world world = {
		    .uid = uid,
		    .runtime_home = rows[i].xdg ? unit_path(&d, rows[i].xdg, xdg) : NULL,
		    .run_user = unit_path(&d, rows[i].run_user ? rows[i].run_user : "none", run_user),
		    .home = rows[i].home ? unit_path(&d, rows[i].home, home) : NULL,
		};
		assert_int_equal(fchownat(d.fd, "mine", rows[i].is_others ? 1 : uid, uid, 0), 0);
		assert_int_equal(fchmodat(d.fd, "mine", rows[i].mode, 0), 0);
		if (number_at)
			(void)snprintf(below, sizeof(below), "%.*s%s%s", (int)(number_at - rows[i].want), rows[i].want,
				       number, number_at + 3);
		else
			(void)snprintf(below, sizeof(below), "%s", rows[i].want);
		assert_place(rows[i].name, &world, unit_path(&d, rows[i].store, store), unit_path(&d, below, want),
			     true);
	}
	unit_dir_remove(&d);
}

/* Each store has its own place. */
static void test_runtime_follows_the_store(void **state)
{
	static const struct places_world world = {.uid = 0};
	char first[RUNTIME_DIR_MAX + 1], again[RUNTIME_DIR_MAX + 1], other[RUNTIME_DIR_MAX + 1];
	bool private;
	(void)state;
	places_derive_runtime(&world, "/srv/a", first, &private);
	places_derive_runtime(&world, "/srv/a", again, &private);
	places_derive_runtime(&world, "/srv/b", other, &private);
	assert_string_equal(first, again);
	assert_string_not_equal(first, other);
}

static void test_real_path(void **state)
{
	static const struct {
		const char *below, *want;
		int r;
	} rows[] = {
	    {"", "", 0},
	    {"/", "", 0},
	    {"/there", "/there", 0},
	    {"/link", "/there", 0},
	    {"/link/new", "/there/new", 0},
	    {"/link//new/er/", "/there/new/er", 0},
	    {"/there/../new", "/new", 0},
	    {"/new/../there", NULL, -EINVAL},
	    {"/file/new", NULL, -ENOTDIR},
	};
	struct unit_dir d;
	char path[FILE_PATH_SIZE], want[FILE_PATH_SIZE];
	(void)state;
	unit_dir_make(&d);
	assert_int_equal(mkdirat(d.fd, "there", 0755), 0);
	assert_int_equal(symlinkat("there", d.fd, "link"), 0);
	unit_write_text(&d, "file", "x");
	for (size_t i = 0; i < LEN(rows); i++) {
		char *real = NULL;
		(void)snprintf(path, sizeof(path), "%s%s", d.path, rows[i].below);
		(void)snprintf(want, sizeof(want), "%s%s", d.path, rows[i].want ? rows[i].want : "");
		int r = places_real_path(path, &real);
		if (r != rows[i].r || (r == 0 && strcmp(real, want) != 0))
			fail_msg("'%s': %d, '%s'", rows[i].below, r, real ? real : "");
		free(real);
	}
	unit_dir_remove(&d);
}

static void test_find(void **state)
{
	struct unit_dir d;
	struct places p;
	struct reason why;
	char store[FILE_PATH_SIZE], runtime[FILE_PATH_SIZE];
	(void)state;
	unit_dir_make(&d);
	assert_int_equal(places_find(unit_path(&d, "s", store), unit_path(&d, "r", runtime), &p, &why), 0);
	assert_string_equal(p.store, store);
	assert_string_equal(p.runtime, runtime);
	assert_false(p.private);
	places_release(&p);
	(void)snprintf(runtime, sizeof(runtime), "/%0*d", RUNTIME_DIR_MAX, 0);
	assert_int_equal(places_find(store, runtime, &p, &why), EX_CONFIG);
	assert_non_null(strstr(why.text, "too long"));
	runtime[RUNTIME_DIR_MAX] = '\0';
	assert_int_equal(places_find(store, runtime, &p, &why), 0);
	places_release(&p);
	unit_dir_remove(&d);
}

static void test_private_runtime_is_ours_alone(void **state)
{
	struct unit_dir d;
	struct places p = {.private = true};
	struct reason why;
	struct stat st;
	bool made;
	int fd;
	(void)state;
	unit_dir_make(&d);
	(void)snprintf(p.runtime, sizeof(p.runtime), "%s/r", d.path);
	assert_int_equal(places_make_runtime(&p, &fd, &made, &why), 0);
	assert_true(made);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(close(fd), 0);
	assert_int_equal(places_make_runtime(&p, &fd, &made, &why), 0);
	assert_false(made);
	assert_int_equal(close(fd), 0);
	/* A symbolic link, as anyone could plant in /tmp. */
	assert_int_equal(symlinkat("r", d.fd, "l"), 0);
	(void)snprintf(p.runtime, sizeof(p.runtime), "%s/l", d.path);
	assert_int_not_equal(places_make_runtime(&p, &fd, &made, &why), 0);
	unit_dir_remove(&d);
}

/*
 * A default directory that cannot be created: the advice names what counts for this user. One that was given gets none.
 */
static void test_advice(void **state)
{
	struct unit_dir d;
	struct places p = {.private = true};
	struct reason why;
	int fd;
	(void)state;
	unit_dir_make(&d);
	(void)snprintf(p.runtime, sizeof(p.runtime), "%s/nowhere/r", d.path);
	assert_int_equal(places_make_runtime(&p, &fd, NULL, &why), EX_CANTCREAT);
	assert_non_null(strstr(why.text, "pass --runtime-dir DIR"));
	assert_int_equal(strstr(why.text, "XDG_RUNTIME_DIR") != NULL, geteuid() != 0);
	p.private = false;
	assert_int_equal(places_make_runtime(&p, &fd, NULL, &why), EX_CANTCREAT);
	assert_null(strstr(why.text, "--runtime-dir"));
	unit_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_advice),
	    cmocka_unit_test(test_default_store),
	    cmocka_unit_test(test_runtime_of_root),
	    cmocka_unit_test(test_runtime_of_a_user),
	    cmocka_unit_test(test_runtime_follows_the_store),
	    cmocka_unit_test(test_real_path),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_private_runtime_is_ours_alone),
	};
	return cmocka_run_group_tests_name("sluice places", tests, NULL, NULL);
}
