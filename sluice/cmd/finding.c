/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/finding.h"

/* System */
#include <stdarg.h>
#include <stdio.h>

/* Base */
#include "common/base/reason.h"

static const char *const words[] = {[FINDING_OK] = "ok", [FINDING_WARN] = "warn", [FINDING_FAIL] = "fail"};

static void add_json(struct findings *f, enum finding found, const char *check, const char *advice, const char *text)
{
	struct json_t *object = json_object_make();

	if (!object)
		return;
	(void)json_set_text(object, "check", check);
	(void)json_set_text(object, "state", words[found]);
	(void)json_set_text(object, "text", text);
	if (advice)
		(void)json_set_text(object, "advice", advice);
	(void)json_append(f->list, object);
}

void finding_report(struct findings *f, enum finding found, const char *check, const char *advice, const char *format,
		    ...)
{
	char raw[REASON_MAX];
	struct reason text; /* makes names from the disk harmless */
	va_list args;

	va_start(args, format);
	(void)vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	reason_set(&text, "%s", raw);
	f->worst = found > f->worst ? found : f->worst;
	if (f->list)
		add_json(f, found, check, advice, text.text);
	else if (found != FINDING_OK || !f->quiet)
		(void)printf("%-4s  %-9s  %s%s%s\n", words[found], check, text.text, advice ? " - " : "",
			     advice ? advice : "");
}
