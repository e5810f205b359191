/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: the counters of the stages in Prometheus' text format 0.0.4. A stage that is down has no counters instead of
 * zeros, and sluice_up says so.
 */

/* System */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Wire */
#include "common/wire/stage.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/counts.h"

static const char *const type_names[] = {
    [COUNTER_TOTAL] = "counter", [COUNTER_GAUGE] = "gauge", [COUNTER_TIMER] = "histogram"};

static void print_head(const char *name, const char *suffix, const char *type, const char *help)
{
	(void)printf("# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
}

/* A label's value: a backslash, a quote and a line feed are escaped. */
static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			(void)putchar('\\');
		(void)putchar(*text);
	}
}

static void print_seconds(uint64_t ms)
{
	(void)printf("%" PRIu64 ".%03u\n", ms / 1000, (unsigned)(ms % 1000));
}

static void print_timer(const struct counts *f, enum counter timer)
{
	const struct counter_row *row = &counter_rows[timer];
	const char *labels = row->labels ? row->labels : "";
	const char *comma = row->labels ? "," : "";
	const char *open = row->labels ? "{" : "";
	const char *close = row->labels ? "}" : "";
	uint64_t so_far = 0;

	for (unsigned i = 0; i < TIMER_BUCKETS; i++) {
		so_far += f->values[timer + i];
		(void)printf("%s_bucket{%s%sle=\"", row->name, labels, comma);
		if (i + 1 < TIMER_BUCKETS)
			(void)printf("%g", (double)timer_bounds_ms[i] / 1000.0);
		else
			(void)printf("+Inf");
		(void)printf("\"} %" PRIu64 "\n", so_far);
	}
	(void)printf("%s_sum%s%s%s ", row->name, open, labels, close);
	print_seconds(f->values[timer + TIMER_BUCKETS]);
	(void)printf("%s_count%s%s%s %" PRIu64 "\n", row->name, open, labels, close, so_far);
}

static void print_number(const struct counts *f, enum counter c)
{
	const struct counter_row *row = &counter_rows[c];

	(void)printf("%s%s", row->name, row->kind == COUNTER_TOTAL ? "_total" : "");
	if (row->labels)
		(void)printf("{%s}", row->labels);
	(void)printf(" %" PRIu64 "\n", f->values[c]);
}

static bool is_up(const struct counts *f, enum counter c)
{
	return f->stages[counts_stage_of(c)].up;
}

/* Print all samples of a family together, for all stages. */
static void print_family(const struct counts *f, enum counter first)
{
	const struct counter_row *row = &counter_rows[first];

	print_head(row->name, row->kind == COUNTER_TOTAL ? "_total" : "", type_names[row->kind], row->help);
	for (enum counter c = first; c < COUNTERS; c++) {
		if (counter_rows[c].kind == 0 || strcmp(counter_rows[c].name, row->name) != 0 || !is_up(f, c))
			continue;
		if (row->kind == COUNTER_TIMER)
			print_timer(f, c);
		else
			print_number(f, c);
	}
}

/* Whether a row is the first of its family that has a sample. */
static bool is_first(const struct counts *f, enum counter c)
{
	if (counter_rows[c].kind == 0 || !is_up(f, c))
		return false;
	for (enum counter before = 0; before < c; before++)
		if (counter_rows[before].kind != 0 && is_up(f, before) &&
		    strcmp(counter_rows[before].name, counter_rows[c].name) == 0)
			return false;
	return true;
}

static void print_stages(const struct counts *f)
{
	print_head("sluice_up", "", "gauge", "Whether the stage answers: 1 or 0");
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++)
		(void)printf("sluice_up{stage=\"%s\"} %d\n", stage_name(i), f->stages[i].up);
	if (!counts_any_up(f))
		return;
	print_head("sluice_build_info", "", "gauge", "The version of the stage; always 1");
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		if (!f->stages[i].up)
			continue;
		(void)printf("sluice_build_info{stage=\"%s\",version=\"", stage_name(i));
		print_escaped(f->stages[i].version);
		(void)printf("\"} 1\n");
	}
	print_head("sluice_start_time_seconds", "", "gauge", "When the stage was started, in seconds since 1970");
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++)
		if (f->stages[i].up)
			(void)printf("sluice_start_time_seconds{stage=\"%s\"} %" PRIu64 "\n", stage_name(i),
				     f->stages[i].started_s);
}

static int run(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct counts f;

	counts_gather(ctx->places.runtime, &f);
	print_stages(&f);
	for (enum counter c = 0; c < COUNTERS; c++)
		if (is_first(&f, c))
			print_family(&f, c);
	return report_stdout(0);
}

const struct verb command_metrics = {
    .name = "metrics",
    .usage = "",
    .summary = "print what the stages have counted, for Prometheus",
    .help = "The text format, version 0.0.4: for node_exporter's textfile collector, or\n"
	    "anything that scrapes the output of a command. sluice_up tells which stages\n"
	    "answered; the others have no numbers.\n",
    .run = run,
};
