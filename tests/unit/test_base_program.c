/* SPDX-License-Identifier: Apache-2.0 */
/* The program skeleton: which verb runs with which settings, exit codes of refusals, and help. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <sysexits.h>

/* The code under test */
#include "common/base/program.h"
#include "common/base/version.h"

#define WORDS_MAX  8
#define OUTPUT_MAX 4096

struct settings {
	struct program_settings program;
	const char *store;
	const char *file;
	uint64_t size;
	bool raw;
};

static struct settings s;
static const char *ran; /* the verb that was run */
static struct settings ran_with;
static char ran_operands[256];
static unsigned ended;

static int run(const struct call *c)
{
	ran = c->verb->name ? c->verb->name : "(none)";
	ran_with = *(const struct settings *)c->settings;
	ran_operands[0] = '\0';
	for (int i = 0; i < c->argc; i++) {
		size_t len = strlen(ran_operands);
		(void)snprintf(ran_operands + len, sizeof(ran_operands) - len, "%s%s", i > 0 ? " " : "", c->argv[i]);
	}
	return c->argc > 0 && strcmp(c->argv[0], "fail") == 0 ? EX_NOINPUT : EX_OK;
}

static const struct opt options[] = {
    {.name = "store",
     .letter = 's',
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, store),
     .def = "/var",
     .min = 1,
     .max = 9,
     .env = "T_PROGRAM_STORE",
     .arg = "DIR",
     .help = "the store"},
    {.name = "file", .kind = OPT_TEXT, .at = offsetof(struct settings, file), .arg = "FILE", .help = "a file"},
    PROGRAM_LOG_LEVEL(struct settings, program, "info", NULL),
    PROGRAM_OPTIONS(struct settings, program),
    {.name = NULL},
};

static const struct opt put_options[] = {
    {.name = "raw", .kind = OPT_FLAG, .at = offsetof(struct settings, raw), .help = "bytes"},
    {.name = "size",
     .letter = 'n',
     .kind = OPT_BYTES,
     .at = offsetof(struct settings, size),
     .arg = "N",
     .help = "how long"},
    {.name = NULL},
};

#define PUT                                                                                                            \
	{                                                                                                              \
		.name = "put", .usage = "[OPTION...] REF...", .summary = "write it", .help = "Much more.\n",           \
		.options = put_options, .operands_min = 1, .operands_max = OPERANDS_ANY, .run = run                    \
	}

static const struct verb daemon_verbs[] = {{.usage = "[OPTION...]", .summary = "serve", .run = run}, PUT};
static const struct verb tool_verbs[] = {PUT, {.name = "ls", .usage = "", .summary = "list", .run = run}};

static int read_file(void *settings, struct reason *why)
{
	struct settings *t = settings;
	if (!t->file)
		return 0;
	if (strcmp(t->file, "bad") == 0) {
		reason_set(why, "'bad' is bad");
		return -EINVAL;
	}
	return opt_set(options, t, "store", "/file", why);
}

static int check(const void *settings, struct reason *why)
{
	const struct settings *t = settings;
	if (t->size != 13)
		return 0;
	reason_set(why, "13 brings no luck");
	return -EINVAL;
}

static int end(const struct call *c, int code)
{
	(void)c;
	ended++;
	return code == EX_NOINPUT ? 3 : code;
}

static const struct program a_daemon = {
    .name = "subject", .options = options, VERBS(daemon_verbs), .read_file = read_file, .check = check, .end = end};
static const struct program a_tool = {.name = "subject", .options = options, VERBS(tool_verbs)};

/* Run a command line, with its stdout and stderr in `ret_output`. */
static int call(const struct program *p, const char *line, char ret_output[static OUTPUT_MAX])
{
	static char text[1024];
	char *argv[WORDS_MAX + 2] = {NULL}, *rest = text, *word;
	char name[] = "subject";
	int argc = 0;
	(void)snprintf(text, sizeof(text), "%s", line);
	argv[argc++] = name;
	while ((word = strsep(&rest, " ")))
		if (*word != '\0')
			argv[argc++] = word;

	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	assert_true(file && out >= 0 && err >= 0);
	(void)fflush(stdout);
	assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	s = (struct settings){.size = 77};
	ran = NULL;
	ended = 0;
	int code = program_main(p, &s, argc, argv);
	(void)fflush(stdout);
	assert_true(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
	(void)close(out);
	(void)close(err);
	ssize_t n = pread(fileno(file), ret_output, OUTPUT_MAX - 1, 0);
	ret_output[n > 0 ? n : 0] = '\0';
	(void)fclose(file);
	return code;
}

static void test_runs(void **state)
{
	static const struct {
		const struct program *program;
		const char *line, *verb, *store, *operands;
		uint64_t size;
		unsigned level;
	} rows[] = {
	    {&a_daemon, "", "(none)", "/var", "", 77, 3},
	    {&a_daemon, "--store /x --log-level debug", "(none)", "/x", "", 77, 4},
	    {&a_daemon, "put r", "put", "/var", "r", 77, 3},
	    {&a_daemon, "--store /x put -n 5 r", "put", "/x", "r", 5, 3},
	    {&a_daemon, "-n 5 put --store=/x r r2", "put", "/x", "r r2", 5, 3},
	    {&a_daemon, "put r --log-level error -- --raw", "put", "/var", "r --raw", 77, 0},
	    {&a_daemon, "--file f put r", "put", "/file", "r", 77, 3},
	    {&a_daemon, "--file f --store /x put r", "put", "/x", "r", 77, 3},
	    {&a_tool, "-s /x ls", "ls", "/x", "", 77, 3},
	    {&a_tool, "-s /x -- ls", "ls", "/x", "", 77, 3},
	};
	char output[OUTPUT_MAX];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		int code = call(rows[i].program, rows[i].line, output);
		if (code != EX_OK || !ran || strcmp(ran, rows[i].verb) != 0)
			fail_msg("'%s': %d, %s, %s", rows[i].line, code, ran ? ran : "nothing ran", output);
		assert_string_equal(ran_with.store, rows[i].store);
		assert_string_equal(ran_operands, rows[i].operands);
		assert_int_equal(ran_with.size, rows[i].size);
		assert_int_equal(ran_with.program.log_level, rows[i].level);
		assert_int_equal(ended, rows[i].program == &a_daemon);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const struct program *program;
		const char *line;
		int code;
		const char *says;
	} rows[] = {
	    {&a_daemon, "get x", EX_USAGE, "subject: there is no command 'get': see 'subject --help'\n"},
	    {&a_daemon, "put", EX_USAGE, "subject: 'put' takes [OPTION...] REF...: see 'subject put --help'\n"},
	    {&a_daemon, "--raw", EX_USAGE, "subject: there is no option '--raw': see 'subject --help'\n"},
	    {&a_daemon, "put r --frob", EX_USAGE, "subject: there is no option '--frob': see 'subject put --help'\n"},
	    {&a_daemon, "--log-level loud", EX_USAGE,
	     "subject: bad value 'loud' for '--log-level': one of error, warning, notice, info, debug is allowed: see "
	     "'subject --help'\n"},
	    {&a_daemon, "--file bad", EX_CONFIG, "subject: 'bad' is bad\n"},
	    {&a_daemon, "put -n 13 r", EX_USAGE, "subject: 13 brings no luck: see 'subject put --help'\n"},
	    {&a_daemon, "help get", EX_USAGE, "subject: there is no command 'get': see 'subject --help'\n"},
	    {&a_tool, "ls x", EX_USAGE, "subject: 'ls' takes no operands: see 'subject ls --help'\n"},
	    {&a_daemon, "put fail", 3, ""},
	};
	char output[OUTPUT_MAX];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		int code = call(rows[i].program, rows[i].line, output);
		if (code != rows[i].code || strcmp(output, rows[i].says) != 0)
			fail_msg("'%s': %d, %s", rows[i].line, code, output);
	}
}

static const char global[] = "  -s, --store DIR        the store (/var)\n"
			     "      --file FILE        a file\n"
			     "      --log-level LEVEL  error, warning, notice, info or debug (info)\n"
			     "  -h, --help             show this and stop\n"
			     "  -V, --version          show the version and stop\n";

static const char uses[] = "usage: subject [OPTION...]              serve\n"
			   "       subject put [OPTION...] REF...   write it\n\n";

static const char put_help[] = "usage: subject put [OPTION...] REF...\n\nwrite it\n\nMuch more.\n\noptions:\n"
			       "      --raw     bytes\n"
			       "  -n, --size N  how long\n\nglobal options:\n";

static const char list[] = "usage: subject [-s | --store DIR] [--file FILE] [--log-level LEVEL] [-h] [-V]\n"
			   "               COMMAND [OPERAND...]\n\n"
			   "  put      write it\n"
			   "  ls       list\n"
			   "  help     what a command and its options do: subject help COMMAND\n";

static void test_help(void **state)
{
	static const struct {
		const struct program *program;
		const char *line;
		int code;
		const char *begin, *rest;
	} rows[] = {
	    {&a_daemon, "--help", 0, uses, global},
	    {&a_daemon, "help", 0, uses, global},
	    {&a_daemon, "put --help", 0, put_help, global},
	    {&a_daemon, "--file bad -h put", 0, put_help, global},
	    {&a_daemon, "help put", 0, put_help, global},
	    {&a_tool, "help help", 0, list, ""},
	    {&a_tool, "--help", 0, list, ""},
	    {&a_tool, "", EX_USAGE, list, ""},
	    {&a_tool, "put --version", 0, "subject " SLUICE_VERSION "\n", ""},
	};
	char output[OUTPUT_MAX], want[OUTPUT_MAX];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		int code = call(rows[i].program, rows[i].line, output);
		(void)snprintf(want, sizeof(want), "%s%s", rows[i].begin, rows[i].rest);
		if (code != rows[i].code || strcmp(output, want) != 0)
			fail_msg("'%s': %d\n%s--- wanted:\n%s", rows[i].line, code, output, want);
		assert_null(ran);
	}
}

/* ── reading again ── */

static int reread_code;
static struct settings again;

static int reread(const struct call *c)
{
	struct reason why = {""};
	assert_int_equal(setenv("T_PROGRAM_STORE", "/env", 1), 0);
	reread_code = program_reread(c, &again, &why);
	(void)unsetenv("T_PROGRAM_STORE");
	return EX_OK;
}

static void test_reread(void **state)
{
	static const struct verb verbs[] = {{.usage = "", .summary = "", .run = reread, .options = put_options}};
	static const struct program p = {.name = "subject", .options = options, VERBS(verbs), .check = check};
	char output[OUTPUT_MAX];
	(void)state;
	again = (struct settings){.size = 5};
	assert_int_equal(call(&p, "--raw", output), EX_OK);
	assert_int_equal(reread_code, 0);
	assert_string_equal(again.store, "/env");
	assert_string_equal(s.store, "/var");
	assert_true(again.raw);
	assert_int_equal(again.size, 5);
	again = (struct settings){.size = 13};
	assert_int_equal(call(&p, "", output), EX_OK);
	assert_int_equal(reread_code, -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_runs),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_help),
	    cmocka_unit_test(test_reread),
	};
	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
