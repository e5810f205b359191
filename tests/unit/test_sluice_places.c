/* SPDX-License-Identifier: Apache-2.0 */
/* Where the store and the runtime directory are, by default or as configured. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <sysexits.h>

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

static const struct runtime_row {
	const char *name;
	struct places_world world;
	const char *store;
	const char *want; /* "HEX" stands for the digits */
	bool private;
} runtimes[] = {
    {"root's default", {.uid = 0}, "/var/lib/sluice", "/run/sluice", false},
    {"root's other", {.uid = 0, .runtime_home = "/run/user/0"}, "/srv/s", "/run/sluice-HEX", true},
    {"user", {.uid = 1000, .runtime_home = "/run/user/1000"}, "/srv/s", "/run/user/1000/sluice-HEX", true},
    {"user on root's default", {.uid = 1000}, "/var/lib/sluice", "/tmp/sluice-1000-HEX", true},
    {"no runtime home", {.uid = 1000}, "/srv/s", "/tmp/sluice-1000-HEX", true},
    {"relative runtime home", {.uid = 1000, .runtime_home = "run"}, "/srv/s", "/tmp/sluice-1000-HEX", true},
    {"a runtime home too long for a socket",
     {.uid = 1000, .runtime_home = "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789"},
     "/srv/s",
     "/tmp/sluice-1000-HEX",
     true},
};

static void test_derived_runtime(void **state)
{
	const struct runtime_row *row;
	(void)state;
	for_each_row(row, runtimes)
	{
		char path[RUNTIME_DIR_MAX + 1];
		bool private;
		places_derive_runtime(&row->world, row->store, path, &private);
		const char *hex = strstr(row->want, "HEX");
		size_t head = hex ? (size_t)(hex - row->want) : strlen(row->want);
		if (strncmp(path, row->want, head) != 0 || strlen(path) != head + (hex ? HEX_LEN : 0) ||
		    private != row->private)
			fail_msg("%s: '%s'", row->name, path);
	}
}

/* One store, one place; another store, another. */
static void test_runtime_follows_the_store(void **state)
{
	static const struct places_world world = {.uid = 1000};
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
	/* A symbolic link, as anyone could plant it in /tmp. */
	assert_int_equal(symlinkat("r", d.fd, "l"), 0);
	(void)snprintf(p.runtime, sizeof(p.runtime), "%s/l", d.path);
	assert_int_not_equal(places_make_runtime(&p, &fd, &made, &why), 0);
	unit_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_default_store),
	    cmocka_unit_test(test_derived_runtime),
	    cmocka_unit_test(test_runtime_follows_the_store),
	    cmocka_unit_test(test_real_path),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_private_runtime_is_ours_alone),
	};
	return cmocka_run_group_tests_name("sluice places", tests, NULL, NULL);
}
