#include "fetchd/credentials.h"

/* System */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Base */
#include "common/base/file.h"

/* OCI */
#include "common/oci/json.h"

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Whether a text may stand in a header as it is: base64 (RFC 4648, 4), and no line end that would forge one. */
static bool is_base64(const char *text)
{
	size_t len = strspn(text, base64_digits);
	size_t padding = strspn(text + len, "=");
	return len > 0 && len + padding <= CREDENTIALS_MAX && padding <= 2 && text[len + padding] == '\0' &&
	       (len + padding) % 4 == 0;
}

static int append_base64(struct buf *out, const uint8_t *data, size_t len)
{
	int r = 0;
	for (size_t i = 0; i < len && r == 0; i += 3) {
		uint32_t group = (uint32_t)data[i] << 16;
		group |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
		group |= i + 2 < len ? data[i + 2] : 0;
		char digits[4];
		for (unsigned k = 0; k < 4; k++)
			digits[k] = i + k <= len ? base64_digits[group >> (18 - 6 * k) & 63] : '=';
		r = buf_append(out, digits, sizeof(digits));
	}
	return r;
}

/* docker writes {"username": …, "password": …} in some versions, in place of "auth". */
static int append_pair(struct buf *out, const char *user, const char *password)
{
	struct buf pair = BUF_INIT;
	int r = buf_appendf(&pair, "%s:%s", user, password);
	if (r == 0)
		r = append_base64(out, (const uint8_t *)pair.data, pair.len);
	credentials_wipe(&pair);
	return r;
}

/* docker's keys may be URLs: "https://index.docker.io/v1/" is docker.io. */
static bool key_is_host(const char *key, const char *host)
{
	static const char *const schemes[] = {"https://", "http://"};
	bool is_url = false;
	for (size_t i = 0; i < 2 && !is_url; i++)
		if (strncmp(key, schemes[i], strlen(schemes[i])) == 0) {
			key += strlen(schemes[i]);
			is_url = true;
		}
	size_t len = is_url ? strcspn(key, "/") : strlen(key);
	if (strcmp(host, "docker.io") == 0 && strncmp(key, "index.docker.io", len) == 0 && len == 15)
		return true;
	return len == strlen(host) && memcmp(key, host, len) == 0;
}

struct lookup {
	const char *host;
	const struct json_t *entry;
};

static int visit(void *self, const char *key, const struct json_t *value)
{
	struct lookup *l = self;
	if (!key_is_host(key, l->host) || !json_is_object(value))
		return 0;
	l->entry = value;
	return 1;
}

int credentials_parse(struct span text, const char *host, struct buf *ret_value, struct reason *why)
{
	AUTO_JSON root = NULL;
	int r = json_parse(text, &root, why);
	if (r < 0)
		return r;
	struct lookup l = {.host = host};
	const struct json_t *auths = json_member(root, "auths");
	if (auths && json_is_object(auths))
		(void)json_each(auths, visit, &l);
	if (!l.entry)
		return -ENOENT;
	const char *auth = json_member_text(l.entry, "auth");
	const char *user = json_member_text(l.entry, "username");
	const char *password = json_member_text(l.entry, "password");
	bool has_auth = auth && auth[0] != '\0';
	if (!has_auth && (!user || !password))
		return -ENOENT;
	if (has_auth && !is_base64(auth)) {
		reason_set(why, "the entry for '%s' is not base64", host);
		return -EINVAL;
	}
	buf_clear(ret_value);
	r = buf_append_str(ret_value, "Basic ");
	if (r == 0)
		r = has_auth ? buf_append_str(ret_value, auth) : append_pair(ret_value, user, password);
	return r;
}

/* These files may be symbolic links: that is how dotfiles and mounted secrets are kept. */
static int load(const char *path, struct buf *out)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > CREDENTIALS_FILE_MAX)
		return -EFBIG;
	size_t len = (size_t)st.st_size;
	int r = buf_reserve(out, len);
	if (r == 0)
		r = file_read_full(fd, out->data, len, &out->len);
	return r;
}

static int find_in(const char *path, const char *host, struct buf *ret_value, struct reason *why)
{
	struct buf text = BUF_INIT;
	struct reason inner = {""};
	int r = load(path, &text);
	if (r == -ENOENT || r == -ENOTDIR) {
		credentials_wipe(&text);
		return -ENOENT;
	}
	if (r < 0)
		reason_set(&inner, "%s", strerror(-r));
	else
		r = credentials_parse(buf_span(&text), host, ret_value, &inner);
	credentials_wipe(&text);
	if (r < 0 && r != -ENOENT)
		reason_set(why, "cannot read credentials from '%s': %s", path, inner.text);
	return r;
}

/* `dir` is an environment variable with a directory; a file that does not fit in a path cannot be there. */
static int find_below(const char *dir, const char *name, const char *host, struct buf *ret_value, struct reason *why)
{
	const char *base = getenv(dir);
	char path[4096];
	if (!base || base[0] == '\0' || (size_t)snprintf(path, sizeof(path), "%s/%s", base, name) >= sizeof(path))
		return -ENOENT;
	return find_in(path, host, ret_value, why);
}

int credentials_find(const char *auth_file, const char *host, struct buf *ret_value, struct reason *why)
{
	const char *from_environment = getenv("REGISTRY_AUTH_FILE");
	int r = auth_file && auth_file[0] != '\0' ? find_in(auth_file, host, ret_value, why) : -ENOENT;
	if (r == -ENOENT && from_environment && from_environment[0] != '\0')
		r = find_in(from_environment, host, ret_value, why);
	if (r == -ENOENT)
		r = find_below("XDG_RUNTIME_DIR", "containers/auth.json", host, ret_value, why);
	if (r == -ENOENT)
		r = find_below("HOME", ".config/containers/auth.json", host, ret_value, why);
	if (r == -ENOENT)
		r = find_below("HOME", ".docker/config.json", host, ret_value, why);
	return r;
}

void credentials_wipe(struct buf *value)
{
	if (value->data)
		explicit_bzero(value->data, value->room);
	buf_release(value);
}
