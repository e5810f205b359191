/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/doctor_mirrors.h"

/* System */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/config.h"
#include "common/base/file.h"

/* OCI */
#include "common/oci/reference.h"

/* Sluice */
#include "sluice/cmd/tables.h"

#define OF_CONTAINERS  "/etc/containers/registries.conf"
#define OF_CONTAINERD  "/etc/containerd/certs.d"
#define CONFIG_OF_USER "~/.config/sluice/sluice.conf"
#define SECTION        "registry "
#define VALUE_SIZE     512

/* A mirror in somebody's file. */
struct mirror {
	char url[VALUE_SIZE + 8]; /* empty: none, or not one that images are pulled from */
	char ca[VALUE_SIZE];
	bool unverified;
	bool insecure; /* unverified, or plain HTTP: podman tries both, in this order */
	bool goes_on;  /* /v2 comes after its path: Sluice has no word for that */
};

/* What one file says of one registry. */
struct search {
	struct findings *findings;
	const char *config; /* ours, or NULL */
	const char *place;  /* where ours is or would be */
	const char *file;
	char host[VALUE_SIZE];     /* empty: not a whole registry */
	char location[VALUE_SIZE]; /* where it is instead, as containers-registries.conf(5) has it */
	bool insecure;             /* so is the registry itself, where its location says that it is */
	struct mirror mirror;      /* the one that is being read */
	struct buf mirrors;        /* lines for our section of this registry */
	struct buf sections;       /* sections of the mirrors */
};

static void keep(char ret[static VALUE_SIZE], const char *value)
{
	(void)snprintf(ret, VALUE_SIZE, "%s", value);
}

static bool is_true(const char *value)
{
	return strcmp(value, "true") == 0;
}

/* A registry, not a part of one and not a pattern, as it may stand in a section's name. */
static bool is_host(const char *text)
{
	return *text && !text[strcspn(text, "/*@ []=#\"'")];
}

static bool is_same_host(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0 || (host_is_docker_hub(span_str(a)) && host_is_docker_hub(span_str(b)));
}

/* ── what is configured for Sluice ── */

struct own {
	const char *host;
	bool has_mirror;
};

static void own_take(void *self, const char *table, const char *key, const char *value)
{
	struct own *own = self;

	(void)value;
	if (key && strcmp(key, "mirror") == 0 && strncmp(table, SECTION, strlen(SECTION)) == 0 &&
	    is_same_host(table + strlen(SECTION), own->host))
		own->has_mirror = true;
}

/* Visit `path`, or what ends with `end` in the directory `path`. */
static void read_below(const char *path, const char *end, tables_visit *visit, void *self)
{
	struct dirent **names = NULL;
	int count = dir_list(path, &names);

	for (int i = 0; i < count; i++) {
		AUTO_FREE struct dirent *name = names[i];
		char file[PATH_MAX];
		if (name_ends_with(name->d_name, end) &&
		    (size_t)snprintf(file, sizeof(file), "%s/%s", path, name->d_name) < sizeof(file))
			tables_read(file, visit, self);
	}
	free(names);
}

static bool has_own(const char *config, const char *host)
{
	struct own own = {.host = host};
	const char *slash;
	char place[PATH_MAX];

	if (!config)
		return false;
	tables_read(config, own_take, &own);
	slash = strrchr(config, '/');
	(void)snprintf(place, sizeof(place), "%.*sregistries.d", slash ? (int)(slash - config) + 1 : 0, config);
	read_below(place, ".conf", own_take, &own);
	return own.has_mirror;
}

/* ── the lines ── */

/* A mirror: its line, and a section of its own if it needs one. `host` is in its URL. */
static void mirror_add(struct search *s, const struct mirror *m, const char *host)
{
	if (m->insecure)
		(void)buf_appendf(&s->mirrors,
				  "# insecure: one of the next two is right\nmirror = %s\nmirror = http://%s\n", m->url,
				  host);
	else
		(void)buf_appendf(&s->mirrors, "mirror = %s\n", m->url);
	if (m->unverified || m->insecure || m->ca[0])
		(void)buf_appendf(&s->sections, "[registry %.*s]\n", (int)strcspn(host, "/"), host);
	if (m->unverified || m->insecure)
		(void)buf_append_str(&s->sections, "skip_verify = yes\n");
	if (m->insecure)
		(void)buf_append_str(&s->sections, "# also sends passwords without TLS:\n# plain_http = yes\n");
	if (m->ca[0])
		(void)buf_appendf(&s->sections, "ca_file = %s\n", m->ca);
}

/* The mirror has been read. */
static void mirror_end(struct search *s)
{
	const char *host = strstr(s->mirror.url, "://");

	if (host && !s->mirror.goes_on)
		mirror_add(s, &s->mirror, host + strlen("://"));
	s->mirror = (struct mirror){.unverified = false};
}

/* Where the registry is: elsewhere, which is a mirror for us, or at its name. */
static void location_end(struct search *s)
{
	if (s->location[0] && !is_same_host(s->location, s->host)) {
		s->mirror.insecure = s->insecure;
		(void)snprintf(s->mirror.url, sizeof(s->mirror.url), "https://%s", s->location);
		mirror_end(s);
	} else if (s->insecure && s->mirrors.len > 0) {
		(void)buf_append_str(&s->mirrors, "skip_verify = yes\n# insecure; if it does not speak TLS, instead:\n"
						  "# plain_http = yes\n");
	}
}

/* The registry has been read. */
static void registry_end(struct search *s)
{
	AUTO_BUF advice = BUF_INIT;

	mirror_end(s);
	location_end(s);
	if (is_host(s->host) && s->mirrors.len > 0 && !has_own(s->config, s->host) &&
	    buf_appendf(&advice, "if Sluice should use them, add to '%s':\n[registry %s]\n%s%s", s->place, s->host,
			s->mirrors.data, s->sections.len > 0 ? s->sections.data : "") == 0)
		finding_report(s->findings, FINDING_WARN, "mirrors", advice.data,
			       "'%s' names mirrors of %s; Sluice does not read that file", s->file, s->host);
	s->host[0] = s->location[0] = '\0';
	s->insecure = false;
	buf_clear(&s->mirrors);
	buf_clear(&s->sections);
}

/* ── containers-registries.conf(5) ── */

static void containers_take(void *self, const char *table, const char *key, const char *value)
{
	struct search *s = self;
	bool of_registry = strcmp(table, "registry") == 0, of_mirror = strcmp(table, "registry.mirror") == 0;

	if (!key && of_mirror)
		mirror_end(s);
	else if (!key)
		registry_end(s);
	else if (of_registry && strcmp(key, "prefix") == 0)
		keep(s->host, value);
	else if (of_registry && strcmp(key, "location") == 0)
		keep(s->location, value);
	else if (of_registry && strcmp(key, "insecure") == 0)
		s->insecure = is_true(value);
	else if (of_mirror && strcmp(key, "location") == 0)
		(void)snprintf(s->mirror.url, sizeof(s->mirror.url), "https://%s", value);
	else if (of_mirror && strcmp(key, "insecure") == 0)
		s->mirror.insecure = is_true(value);
	if (of_mirror && !s->host[0]) /* without a prefix, the location is what it is for */
		keep(s->host, s->location);
}

static void read_containers(struct search *s, const char *path)
{
	s->file = path;
	tables_read(path, containers_take, s);
	registry_end(s);
}

/* A file of the user takes the place of the machine's; those in the directories beside them count besides. */
static void check_containers(struct search *s)
{
	const char *named = getenv("CONTAINERS_REGISTRIES_CONF"), *home = getenv("HOME");
	char own[PATH_MAX];

	if (named && *named) {
		read_containers(s, named);
		return;
	}
	(void)snprintf(own, sizeof(own), "%s/.config/containers/registries.conf", home ? home : "");
	read_containers(s, home && access(own, F_OK) == 0 ? own : OF_CONTAINERS);
	s->file = OF_CONTAINERS ".d";
	read_below(s->file, ".conf", containers_take, s);
	registry_end(s);
}

/* ── containerd's hosts.toml ── */

/* [host."https://mirror.example"] */
static void containerd_take(void *self, const char *table, const char *key, const char *value)
{
	static const char of_host[] = "host.\"";
	struct search *s = self;
	const char *url = table + strlen(of_host);

	if (strncmp(table, of_host, strlen(of_host)) != 0)
		return;
	if (!key) {
		mirror_end(s);
		(void)snprintf(s->mirror.url, sizeof(s->mirror.url), "%.*s", (int)strcspn(url, "\""), url);
		url = strstr(s->mirror.url, "://");
		s->mirror.goes_on = url && strchr(url + strlen("://"), '/');
	} else if (strcmp(key, "override_path") == 0 && is_true(value)) {
		s->mirror.goes_on = false;
	} else if (strcmp(key, "capabilities") == 0 && !strstr(value, "pull")) {
		s->mirror.url[0] = '\0';
	} else if (strcmp(key, "skip_verify") == 0) {
		s->mirror.unverified = is_true(value);
	} else if (strcmp(key, "ca") == 0 && *value == '/') {
		keep(s->mirror.ca, value);
	}
}

static void check_containerd(struct search *s)
{
	struct dirent **hosts = NULL;
	int count = dir_list(OF_CONTAINERD, &hosts);

	for (int i = 0; i < count; i++) {
		AUTO_FREE struct dirent *host = hosts[i];
		char path[PATH_MAX];
		(void)snprintf(path, sizeof(path), OF_CONTAINERD "/%s/hosts.toml", host->d_name);
		s->file = path;
		tables_read(path, containerd_take, s);
		keep(s->host, host->d_name);
		registry_end(s);
	}
	free(hosts);
}

void doctor_check_mirrors(const char *config, struct findings *f)
{
	struct search s = {
	    .findings = f,
	    .config = config,
	    .place = config           ? config
		     : geteuid() == 0 ? CONFIG_OF_MACHINE
				      : CONFIG_OF_USER,
	};

	check_containers(&s);
	check_containerd(&s);
	buf_release(&s.mirrors);
	buf_release(&s.sections);
}
