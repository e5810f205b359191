/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/config/certs.h"

/* System */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/keep.h"
#include "common/base/log.h"
#include "common/base/reason.h"

#define HOME_PLACE      "/.config/containers/certs.d"
#define SYSTEM_FILE_MAX (4u << 20) /* bytes */
#define TEXT_MAX        (8u << 20) /* bytes of all authorities of one host */

/* One directory of a host. */
struct reading {
	struct registry_settings *registry;
	const char *path;
	struct buf authorities;
	bool has_own_ca, has_own_client; /* the section sets them: those here do not count */
};

static void note(struct reading *in, const char *name, const char *what)
{
	struct reason why;

	reason_set(&why, "cannot use '%s/%s': %s", in->path, name, what);
	if (!in->registry->tls.trouble)
		in->registry->tls.trouble = keep_text(why.text);
}

void certs_add_system_file(struct buf *authorities)
{
	const char *path = getenv("SSL_CERT_FILE");

	if (path && path[0] != '\0' && file_load(path, SYSTEM_FILE_MAX, authorities) == 0)
		(void)buf_append_str(authorities, "\n");
}

/* Read the authorities now, into one text: libcurl accepts one file, and there may be several. */
static void take_authorities(struct reading *in, const char *name)
{
	char path[PATH_MAX];

	if (in->has_own_ca)
		return;
	if (in->authorities.len == 0)
		certs_add_system_file(&in->authorities);
	size_t before = in->authorities.len;
	int r = before < TEXT_MAX ? 0 : -EFBIG;
	if (r == 0 && snprintf(path, sizeof(path), "%s/%s", in->path, name) >= (int)sizeof(path))
		r = -ENAMETOOLONG;
	if (r == 0)
		r = file_load(path, CERTS_FILE_MAX, &in->authorities);
	if (r == 0)
		r = buf_append_str(&in->authorities, "\n");
	if (r < 0)
		note(in, name, strerror(-r));
	else if (!strstr(in->authorities.data + before, "-----BEGIN"))
		note(in, name, "it is not a certificate in PEM");
}

/* `name` is NAME.cert or NAME.key: both must be there, and readable. The first pair counts. */
static void take_client(struct reading *in, const char *name)
{
	static const char *const ends[] = {".cert", ".key"};
	char paths[2][PATH_MAX];
	int stem = (int)(strrchr(name, '.') - name);

	if (in->has_own_client || in->registry->tls.client_cert)
		return;
	for (size_t i = 0; i < 2; i++) {
		char other[NAME_MAX + 8];
		(void)snprintf(other, sizeof(other), "%.*s%s", stem, name, ends[i]);
		bool fits = snprintf(paths[i], sizeof(paths[i]), "%s/%s", in->path, other) < (int)sizeof(paths[i]);
		AUTO_FD fd = fits ? open(paths[i], O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
		if (fd < 0) {
			note(in, other, strerror(fits ? errno : ENAMETOOLONG));
			return;
		}
	}
	in->registry->tls.client_cert = keep_text(paths[0]);
	in->registry->tls.client_key = keep_text(paths[1]);
}

static void take_file(struct reading *in, const char *name)
{
	if (name_ends_with(name, ".crt"))
		take_authorities(in, name);
	else if (name_ends_with(name, ".cert") || name_ends_with(name, ".key"))
		take_client(in, name);
}

static void read_host(struct registry_settings *registry, const char *path)
{
	struct reading in = {.registry = registry,
			     .path = path,
			     .has_own_ca = registry->tls.ca_file != NULL,
			     .has_own_client = registry->tls.client_cert != NULL};
	struct dirent **found = NULL;
	int count = dir_list(path, &found);

	if (count < 0)
		note(&in, "", strerror(-count));
	for (int i = 0; i < count; i++) {
		take_file(&in, found[i]->d_name);
		free(found[i]);
	}
	free(found);
	if (in.authorities.len > 0)
		registry->tls.ca_besides = keep_text(in.authorities.data);
	buf_release(&in.authorities);
}

/* Hosts found in an earlier place are skipped. */
static void read_place(struct registries *rs, const char *place)
{
	struct dirent **found = NULL;
	int count = dir_list(place, &found);

	if (count < 0 && count != -ENOENT && count != -ENOTDIR)
		log_warning("cannot read '%s': %s", place, strerror(-count));
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		struct registry_settings *registry = registries_add(rs, found[i]->d_name);
		if (registry && !registry->has_certs &&
		    snprintf(path, sizeof(path), "%s/%s", place, found[i]->d_name) < (int)sizeof(path)) {
			registry->has_certs = true;
			read_host(registry, path);
		}
		if (!registry)
			log_info("'%s/%s' is left out: not a host, or too many registries", place, found[i]->d_name);
		free(found[i]);
	}
	free(found);
}

void certs_read_from(struct registries *rs, const char *const *places, size_t len)
{
	for (size_t i = 0; i < len; i++)
		read_place(rs, places[i]);
}

void certs_read(struct registries *rs)
{
	char of_home[PATH_MAX];
	const char *home = getenv("HOME");
	const char *places[] = {of_home, "/etc/containers/certs.d", "/etc/docker/certs.d"};

	bool has_home =
	    home && home[0] == '/' && snprintf(of_home, sizeof(of_home), "%s" HOME_PLACE, home) < (int)sizeof(of_home);
	certs_read_from(rs, places + !has_home, sizeof(places) / sizeof(places[0]) - !has_home);
}
