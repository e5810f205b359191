/* The command line of sluice, the order of failures, and when a stage is started again. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "sluice/cmd/report.h"
#include "sluice/options.h"
#include "sluice/run/supervise.h"

static const char *own_text;
static bool own_flag;

static const struct opt own[] = {
    {.name = "platform", .kind = OPT_TEXT, .var = &own_text, .min = 1, .max = 100, .arg = "P", .help = ""},
    {.name = "all", .letter = 'a', .kind = OPT_FLAG, .var = &own_flag, .def = "no", .help = ""},
    {.name = NULL},
};

#define WORDS_MAX 8

static const struct row {
	const char *name;
	const char *words[WORDS_MAX];
	int at;            /* where the command is; WORDS_MAX: nowhere */
	const char *store; /* what is read; NULL: not given, or refused */
	const char *platform;
	int operands; /* -1: refused */
} rows[] = {
    {"command alone", {"pull"}, 0, NULL, NULL, 1},
    {"options before", {"--store", "s", "-q", "pull", "x"}, 3, "s", NULL, 2},
    {"options behind", {"pull", "x", "--store", "s"}, 0, "s", NULL, 2},
    {"with an equals sign", {"--store=s", "pull"}, 1, "s", NULL, 1},
    {"own option", {"pull", "--platform", "p", "x"}, 0, NULL, "p", 2},
    {"both", {"--store", "s", "pull", "--platform=p", "-a", "x"}, 2, "s", "p", 2},
    {"end of options before the command", {"--store", "s", "--", "pull"}, 3, "s", NULL, 1},
    {"an operand that looks like an option", {"pull", "--", "--store"}, 0, NULL, NULL, 2},
    {"nothing", {NULL}, WORDS_MAX, NULL, NULL, 0},
    {"options alone", {"-q", "--json"}, WORDS_MAX, NULL, NULL, 0},
    {"value missing", {"pull", "--store"}, 0, NULL, NULL, -1},
    {"unknown option", {"pull", "--frobnicate"}, 0, NULL, NULL, -1},
    {"empty value", {"pull", "--store="}, 0, NULL, NULL, -1},
};

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void test_command_line(void **state)
{
	const struct row *row;
	(void)state;
	for_each_row(row, rows)
	{
		char *argv[WORDS_MAX];
		struct context ctx;
		struct reason why;
		int argc = 0;
		while (argc < WORDS_MAX && row->words[argc]) {
			argv[argc] = strdup(row->words[argc]);
			assert_non_null(argv[argc++]);
		}
		char *kept[WORDS_MAX];
		memcpy(kept, argv, sizeof(kept));
		int at = options_find_operand(options_global, argc, argv);
		int operands = argc;
		own_text = NULL;
		int r = options_read(own, &operands, argv, &ctx, &why);
		if (at != (row->at == WORDS_MAX ? argc : row->at) || (r < 0) != (row->operands < 0))
			fail_msg("%s: command at %d, read %d", row->name, at, r);
		if (r == 0 &&
		    (operands != row->operands || !same(ctx.store, row->store) || !same(own_text, row->platform)))
			fail_msg("%s: %d operands", row->name, operands);
		for (int i = 0; i < argc; i++)
			free(kept[i]);
	}
}

static int forget(void **state)
{
	(void)state;
	(void)unsetenv("SLUICE_STORE");
	(void)unsetenv("SLUICE_RUNTIME_DIR");
	(void)unsetenv("SLUICE_CONFIG");
	return 0;
}

static void test_environment(void **state)
{
	char word[] = "ls";
	char *argv[] = {word};
	int argc = 1;
	struct context ctx;
	struct reason why;
	(void)state;
	(void)setenv("SLUICE_STORE", "/by/environment", 1);
	assert_int_equal(options_read(NULL, &argc, argv, &ctx, &why), 0);
	assert_string_equal(ctx.store, "/by/environment");
	assert_null(ctx.config);
}

static void test_worse(void **state)
{
	(void)state;
	assert_int_equal(report_worse(FAIL_NONE, FAIL_AGAIN), FAIL_AGAIN);
	assert_int_equal(report_worse(FAIL_AGAIN, FAIL_NOT_FOUND), FAIL_NOT_FOUND);
	assert_int_equal(report_worse(FAIL_BAD_DATA, FAIL_NOT_FOUND), FAIL_BAD_DATA);
	assert_int_equal(report_worse(FAIL_UNAVAILABLE, FAIL_AGAIN), FAIL_UNAVAILABLE);
	for (int c = FAIL_AGAIN; c <= FAIL_CLASS_MAX; c++)
		assert_int_equal(report_worse((enum fail_class)c, FAIL_NONE), c);
}

static void test_respawn(void **state)
{
	static const unsigned want[] = {0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000};
	struct respawn r = {.started_ms = 5000};
	uint64_t now = 5000;
	(void)state;
	for (size_t i = 0; i < LEN(want); i++) {
		now += RESPAWN_QUICK_MS - 1;
		assert_int_equal(respawn_delay_ms(&r, now), want[i]);
		r.started_ms = now;
	}
	/* One that lived long enough starts anew, at once. */
	assert_int_equal(respawn_delay_ms(&r, now + RESPAWN_QUICK_MS), 0);
	r.started_ms = now + RESPAWN_QUICK_MS;
	assert_int_equal(respawn_delay_ms(&r, r.started_ms + 1), 0);
	assert_int_equal(respawn_delay_ms(&r, r.started_ms + 2), RESPAWN_DELAY_MIN_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_command_line, forget),
	    cmocka_unit_test_setup_teardown(test_environment, forget, forget),
	    cmocka_unit_test(test_worse),
	    cmocka_unit_test(test_respawn),
	};
	return cmocka_run_group_tests_name("sluice options", tests, NULL, NULL);
}
