/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a command line that make a policy (source_policy.h), as skopeo, podman and curl have them: rows for
 * tables (opt.h), and what follows from them. Files that they name are read here, by whoever runs the command.
 */
#ifndef SLUICE_WIRE_POLICY_OPTIONS_H
#define SLUICE_WIRE_POLICY_OPTIONS_H

#include "common/base/opt.h"
#include "common/wire/source_policy.h"

#define POLICY_UNSAID UINT64_MAX

struct policy_options {
	const char *creds; /* "USER" or "USER:PASSWORD", in argv */
	const char *auth_file, *cert_dir;
	unsigned tls_verify; /* enum said */
	bool plain_http;
	uint64_t retries; /* POLICY_UNSAID unless given */
	uint64_t rate;    /* 0: no limit */
};

/* clang-format off */
#define POLICY_OPTIONS_FILE(type, member)                                                                              \
	{.name = "authfile", .kind = OPT_TEXT, .at = offsetof(type, member.auth_file), .min = 1, .max = 4095,          \
	 .arg = "FILE", .help = "credentials, in the form of containers-auth.json(5)"}
#define POLICY_OPTIONS_TLS(type, member)                                                                               \
	{.name = "cert-dir", .kind = OPT_TEXT, .at = offsetof(type, member.cert_dir), .min = 1, .max = 4095,           \
	 .arg = "DIR", .help = "*.crt to trust, and NAME.cert with NAME.key"},                                         \
	{.name = "tls-verify", .kind = OPT_SAID, .at = offsetof(type, member.tls_verify),                              \
	 .help = "=false: any certificate will do, or none"},                                                          \
	{.name = "plain-http", .kind = OPT_FLAG, .at = offsetof(type, member.plain_http), .def = "no",                 \
	 .help = "HTTP without TLS"}
#define POLICY_OPTIONS_HOST(type, member)                                                                              \
	{.name = "creds", .kind = OPT_TEXT, .at = offsetof(type, member.creds), .min = 1, .max = 6000,                 \
	 .arg = "USER[:PASS]", .help = "credentials; better without PASS, it is asked for"},                           \
	POLICY_OPTIONS_TLS(type, member)
#define POLICY_OPTIONS_ALL(type, member)                                                                               \
	POLICY_OPTIONS_HOST(type, member),                                                                             \
	POLICY_OPTIONS_FILE(type, member),                                                                             \
	{.name = "retry", .kind = OPT_COUNT, .at = offsetof(type, member.retries), .max = POLICY_RETRIES_MAX,          \
	 .arg = "N", .help = "retries of each transfer; new bytes give some back"},                                    \
	{.name = "limit-rate", .kind = OPT_RATE, .at = offsetof(type, member.rate), .max = POLICY_RATE_MAX,            \
	 .arg = "RATE", .help = "bytes per second for all of it: 500K, 2M"}
/* clang-format on */

/*
 * Append the policy for content at `host` ("docker.io", "localhost:5000"), `name` being that of the repository, or
 * empty; nothing if no option was given. A password that is missing is read (password.h); one in the `words` of the
 * command line is overwritten there. The user's own credentials come with a policy that forbids those of the
 * configuration. Those that a file leaves to a helper are asked for, which may take HELPER_TIMEOUT_MS. If some of the
 * usual places cannot be used, `ret_trouble` says why, else it is empty. 0, or an exit code with a reason. Reads the
 * disk; the caller wipes `out`.
 */
int policy_options_read(const struct policy_options *o, const char *host, const char *name, int words_len, char **words,
			struct buf *out, struct reason *ret_trouble, struct reason *why);

/*
 * The policy to try the credentials of `user` at `host` with, and these as base64 in `auth`. The password is read, and if
 * `user` is NULL the user's name too. What the options say about credentials does not count. Else as above.
 */
int policy_options_ask(const struct policy_options *o, const char *host, const char *user, struct buf *policy,
		       struct buf *auth, struct reason *why);

#endif
