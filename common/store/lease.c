/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/lease.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Base */
#include "common/base/file.h"
#include "common/base/text.h"

#define KEY_CONTENT "content="
#define KEY_ROOT    "root="

bool lease_id_is_valid(struct span id)
{
	for (size_t i = 0; i < id.len; i++) {
		uint8_t c = id.data[i];
		bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!is_alnum && (c != '-' || i == 0))
			return false;
	}
	return id.len > 0 && id.len <= LEASE_ID_MAX;
}

void lease_file_name(const char *id, char ret_name[static LEASE_NAME_SIZE])
{
	(void)snprintf(ret_name, LEASE_NAME_SIZE, "%s" LEASE_SUFFIX, id);
}

bool lease_id_of_file(const char *name, char ret_id[static LEASE_ID_MAX + 1])
{
	if (!name_ends_with(name, LEASE_SUFFIX))
		return false;
	struct span id = span_of(name, strlen(name) - strlen(LEASE_SUFFIX));
	if (!lease_id_is_valid(id))
		return false;
	(void)snprintf(ret_id, LEASE_ID_MAX + 1, "%.*s", SPAN_ARG(id));
	return true;
}

int lease_format(const struct lease *l, struct buf *out)
{
	char boot[2 * BOOT_ID_SIZE + 1];
	size_t before = out->len;

	hex_encode(l->boot, sizeof(l->boot), boot);
	int r =
	    buf_appendf(out, "for=%s\nuid=%lu\nboot=%s\nat=%llu\nttl=%llu\n%s", l->purpose, (unsigned long)l->uid, boot,
			(unsigned long long)l->at_s, (unsigned long long)l->ttl_s, l->is_firm ? "firm=1\n" : "");
	if (r < 0)
		out->len = before;
	return r;
}

int lease_format_member(const struct digest *d, bool is_root, struct buf *out)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(d, text);
	return buf_appendf(out, "%s%s\n", is_root ? KEY_ROOT : KEY_CONTENT, text);
}

/* If `line` begins with the key, its value. */
static bool has_key(struct span line, const char *key, struct span *ret_value)
{
	size_t len = strlen(key);

	if (line.len < len || memcmp(line.data, key, len) != 0)
		return false;
	*ret_value = span_of(line.data + len, line.len - len);
	return true;
}

int lease_parse_member(struct span line, struct digest *ret_digest, bool *ret_is_root)
{
	struct span value;
	bool is_root = has_key(line, KEY_ROOT, &value);

	if (!is_root && !has_key(line, KEY_CONTENT, &value))
		return -EINVAL;
	int r = digest_parse(value, ret_digest, NULL);
	if (r == 0)
		*ret_is_root = is_root;
	return r;
}

/* Take the next complete line from the text. False: there is none. */
static bool next_line(struct span *text, struct span *ret_line)
{
	const uint8_t *end = text->len > 0 ? memchr(text->data, '\n', text->len) : NULL;

	if (!end)
		return false;
	*ret_line = span_of(text->data, (size_t)(end - text->data));
	*text = span_of(end + 1, text->len - ret_line->len - 1);
	return true;
}

static bool next_value(struct span *text, const char *key, struct span *ret_value)
{
	struct span line, rest = *text;

	if (!next_line(&rest, &line) || !has_key(line, key, ret_value))
		return false;
	*text = rest;
	return true;
}

static int head_parse(struct span *text, struct lease *l)
{
	struct span purpose, uid, boot, at, ttl, firm;
	uint64_t number;
	char boot_text[2 * BOOT_ID_SIZE + 1];

	if (!next_value(text, "for=", &purpose) || purpose.len > LEASE_PURPOSE_MAX ||
	    memchr(purpose.data, '\0', purpose.len) || !next_value(text, "uid=", &uid) ||
	    !next_value(text, "boot=", &boot) || boot.len != sizeof(boot_text) - 1 || !next_value(text, "at=", &at) ||
	    !next_value(text, "ttl=", &ttl))
		return -EINVAL;
	(void)snprintf(l->purpose, sizeof(l->purpose), "%.*s", SPAN_ARG(purpose));
	(void)snprintf(boot_text, sizeof(boot_text), "%.*s", SPAN_ARG(boot));
	if (text_number(uid, UINT32_MAX, &number) < 0 || boot_id_read(boot_text, l->boot) < 0 ||
	    text_number(at, UINT32_MAX, &l->at_s) < 0 || text_number(ttl, UINT32_MAX, &l->ttl_s) < 0)
		return -EINVAL;
	l->uid = (uid_t)number;
	l->is_firm = next_value(text, "firm=", &firm);
	return l->is_firm && !span_eq(firm, span_str("1")) ? -EINVAL : 0;
}

int lease_parse(struct span text, struct lease *ret_lease, const struct lease_hooks *hooks, size_t *ret_whole_len)
{
	struct span rest = text, line, after;
	struct lease l = {.ttl_s = 0};
	struct digest d;
	bool is_root;
	int r = head_parse(&rest, &l);

	if (r < 0)
		return r;
	for (after = rest; next_line(&after, &line) && lease_parse_member(line, &d, &is_root) == 0; rest = after) {
		r = hooks ? hooks->member(hooks->self, &d, is_root) : 0;
		if (r != 0)
			return r;
	}
	*ret_lease = l;
	if (ret_whole_len)
		*ret_whole_len = text.len - rest.len;
	return 0;
}

int lease_load(int dir_fd, const char *id, struct lease *ret_lease, const struct lease_hooks *hooks,
	       size_t *ret_whole_len)
{
	AUTO_BUF text = BUF_INIT;
	char name[LEASE_NAME_SIZE];

	lease_file_name(id, name);
	int r = file_load_at(dir_fd, name, LEASE_FILE_MAX, &text);
	return r < 0 ? r : lease_parse(buf_span(&text), ret_lease, hooks, ret_whole_len);
}
