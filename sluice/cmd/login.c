/* SPDX-License-Identifier: Apache-2.0 */
/*
 * login and logout: credentials in podman's auth.json. login writes them only after the registry has accepted them, which
 * fetchd asks it: we have no network.
 */

/* System */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/log.h"

/* OCI */
#include "common/oci/reference.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/authfile.h"
#include "sluice/run/job.h"
#include "sluice/run/stages.h"

static const struct opt login_options[] = {
    {.name = "username",
     .letter = 'u',
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, login_user),
     .min = 1,
     .max = 1024,
     .arg = "USER",
     .help = "who logs in; asked for if left out"},
    {.name = "password-stdin",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, login_stdin),
     .def = "no",
     .help = "the password is a line of standard input"},
    POLICY_OPTIONS_FILE(struct settings, policy),
    POLICY_OPTIONS_TLS(struct settings, policy),
    {.name = NULL},
};

static const struct opt logout_options[] = {
    POLICY_OPTIONS_FILE(struct settings, policy),
    {.name = NULL},
};

/* The registry as auth.json names it: "docker.io", "localhost:5000". */
static int parse_host(const char *text, char ret_host[static REFERENCE_HOST_MAX + 1], struct reason *why)
{
	const char *scheme = strstr(text, "://");
	const char *host = scheme ? scheme + 3 : text;
	size_t len = strcspn(host, "/");
	bool is_host = len > 0 && (host[len] == '\0' || (scheme && host[len + 1] == '\0'));

	if (is_host && host_parse(span_of(host, len), ret_host) == 0)
		return 0;
	reason_set(why, "'%.100s' is not a registry: expected HOST or HOST:PORT", text);
	return EX_USAGE;
}

/* Ask the registry, through the stages. */
static int check(const struct settings *s, const char *host, struct span policy, struct reason *why)
{
	struct job j;
	struct message answer;
	const struct message request = {.type = MSG_LOGIN, .name = span_str(host), .policy = policy};
	int code = job_begin(&j, &s->context, s->context.quiet ? PROGRESS_NONE : PROGRESS_LINES, why);

	if (code == 0)
		code = client_demand(j.client, STAGE_INGESTD, &request, MSG_OK, &answer, why);
	job_end_progress(&j);
	return job_end(&j, code);
}

static int log_in(const struct settings *s, const char *host, const char *path, struct reason *why)
{
	struct buf policy = BUF_INIT, auth = BUF_INIT;
	int code = policy_options_ask(&s->policy, host, s->login_user, &policy, &auth, why);

	if (code == 0)
		code = check(s, host, buf_span(&policy), why);
	if (code == 0)
		code = authfile_change(path, host, auth.data, why);
	buf_wipe(&policy);
	buf_wipe(&auth);
	return code;
}

static void say(const struct context *ctx, const char *what, const char *host, const char *path)
{
	if (ctx->quiet)
		return;
	(void)printf("%s '%s': '%s'\n", what, host, path);
	if (stages_of_services(ctx->places.runtime))
		log_warning("the services do not read that file: name it with --authfile in 'sluice pull', or put the "
			    "credentials for all members into /etc/credstore/sluice-auth.json");
}

static int run_login(const struct call *call)
{
	const struct settings *s = call->settings;
	char host[REFERENCE_HOST_MAX + 1], path[PATH_MAX];
	struct reason why = {""};
	int code = parse_host(call->argv[0], host, &why);

	if (code == 0 && s->login_stdin && !s->login_user) {
		reason_set(&why, "--password-stdin needs --username");
		code = EX_USAGE;
	}
	if (code == 0)
		code = authfile_place(s->policy.auth_file, path, &why);
	if (code == 0)
		code = log_in(s, host, path, &why);
	if (code == 0)
		say(&s->context, "logged in to", host, path);
	else
		report_error("log in to", call->argv[0], code, NULL, &why);
	return code;
}

static int run_logout(const struct call *call)
{
	const struct settings *s = call->settings;
	char host[REFERENCE_HOST_MAX + 1], path[PATH_MAX];
	struct reason why = {""};
	int code = parse_host(call->argv[0], host, &why);

	if (code == 0)
		code = authfile_place(s->policy.auth_file, path, &why);
	if (code == 0)
		code = authfile_change(path, host, NULL, &why);
	if (code == 0 && !s->context.quiet)
		(void)printf("logged out of '%s': '%s'\n", host, path);
	if (code != 0)
		report_error("log out of", call->argv[0], code, NULL, &why);
	return code;
}

const struct verb command_login = {
    .name = "login",
    .usage = "[-u USER] [--password-stdin] HOST[:PORT]",
    .summary = "check credentials for a registry and keep them",
    .help = "They go into podman's auth.json, once the registry has accepted them.\n",
    .operands_min = 1,
    .operands_max = 1,
    .options = login_options,
    .run = run_login,
};

const struct verb command_logout = {
    .name = "logout",
    .usage = "HOST[:PORT]",
    .summary = "forget the credentials for a registry",
    .operands_min = 1,
    .operands_max = 1,
    .options = logout_options,
    .run = run_logout,
};
