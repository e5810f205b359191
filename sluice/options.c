/* Own header */
#include "sluice/options.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <string.h>

#define ROWS_MAX 24

bool options_help;
bool options_version;

static const char *store, *runtime_dir, *config;
static bool json, quiet, verbose;

const struct opt options_global[] = {
    {.name = "store",
     .kind = OPT_TEXT,
     .var = &store,
     .min = 1,
     .max = 4095,
     .env = "SLUICE_STORE",
     .arg = "DIR",
     .help = "the store (SLUICE_STORE)"},
    {.name = "runtime-dir",
     .kind = OPT_TEXT,
     .var = &runtime_dir,
     .min = 1,
     .max = 4095,
     .env = "SLUICE_RUNTIME_DIR",
     .arg = "DIR",
     .help = "where the pipes are (SLUICE_RUNTIME_DIR)"},
    {.name = "config",
     .kind = OPT_TEXT,
     .var = &config,
     .min = 1,
     .max = 4095,
     .env = "SLUICE_CONFIG",
     .arg = "FILE",
     .help = "for fetchd, when it is started here (SLUICE_CONFIG)"},
    {.name = "json",
     .kind = OPT_FLAG,
     .var = &json,
     .def = "no",
     .help = "write JSON: an object a line, the result last"},
    {.name = "quiet", .letter = 'q', .kind = OPT_FLAG, .var = &quiet, .def = "no", .help = "no progress, bare results"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPT_FLAG,
     .var = &verbose,
     .def = "no",
     .help = "say more; show what the stages log"},
    {.name = "help", .letter = 'h', .kind = OPT_FLAG, .var = &options_help, .def = "no", .help = "show this and stop"},
    {.name = "version",
     .letter = 'V',
     .kind = OPT_FLAG,
     .var = &options_version,
     .def = "no",
     .help = "show the version and stop"},
    {.name = NULL},
};

static bool takes_value(const struct opt *table, const char *arg)
{
	bool is_long = arg[1] == '-';

	for (const struct opt *row = table; row->name; row++) {
		bool is_row =
		    is_long ? strcmp(arg + 2, row->name) == 0 : row->letter && arg[1] == row->letter && arg[2] == '\0';
		if (is_row)
			return row->kind != OPT_FLAG;
	}
	return false;
}

int options_find_operand(const struct opt *table, int argc, char **argv)
{
	int i = 0;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		if (strcmp(argv[i], "--") == 0)
			return i + 1 < argc ? i + 1 : argc;
		i += takes_value(table, argv[i]) ? 2 : 1;
	}
	return i < argc ? i : argc;
}

static size_t copy_rows(const struct opt *from, struct opt *to)
{
	size_t n = 0;

	for (; from && from[n].name; n++) {
		assert(n < ROWS_MAX / 2);
		to[n] = from[n];
	}
	return n;
}

int options_read(const struct opt *own, int *argc, char **argv, struct context *ret_context, struct reason *why)
{
	struct opt rows[ROWS_MAX + 1];
	size_t n = copy_rows(options_global, rows);

	store = runtime_dir = config = NULL;
	n += copy_rows(own, rows + n);
	rows[n] = (struct opt){.name = NULL};
	int r = opt_defaults(rows, NULL, why);
	if (r == 0)
		r = opt_environment(rows, NULL, why);
	if (r == 0)
		r = opt_command_line(rows, NULL, *argc, argv, argc, why);
	if (r < 0)
		return r;
	*ret_context = (struct context){
	    .store = store,
	    .runtime_dir = runtime_dir,
	    .config = config,
	    .json = json,
	    .quiet = quiet,
	    .verbose = verbose,
	};
	return 0;
}
