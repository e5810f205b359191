/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect: what a stored image or artifact is, as JSON, with the keys of 'skopeo inspect'. It reads the store and needs no
 * stage. What is missing or damaged is said; the rest is shown.
 */

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/file.h"

/* OCI */
#include "common/oci/json.h"

/* Store */
#include "common/store/walk.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/find.h"
#include "sluice/cmd/graph.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/report.h"

#define TITLE_KEY "org.opencontainers.image.title"

struct inspection {
	struct layout *layout;
	struct names *names;
	struct found found; /* what was asked for */

	/* What is shown of it: the same, or the manifest of an index for one platform. */
	struct descriptor shown;
	struct buf text;
	struct manifest manifest;
	struct json_t *root; /* owned */
};

static void inspection_release(struct inspection *in)
{
	json_free(in->root);
	manifest_release(&in->manifest);
	buf_release(&in->text);
	names_free(in->names);
	layout_free(in->layout);
}

/* Load and parse what `in->shown` describes. 0, or an exit code with a reason. */
static int load(struct inspection *in, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE];
	struct reason detail = {""};

	manifest_release(&in->manifest);
	buf_clear(&in->text);
	int r = layout_document_load(in->layout, &in->shown.digest, &in->text, why);
	if (r < 0)
		return find_exit_code(r);
	r = manifest_parse(buf_span(&in->text), in->shown.media_type, &in->manifest, &detail);
	if (r == 0)
		return 0;
	digest_format(&in->shown.digest, digest);
	reason_set(why, "'%s' is not a manifest: %s; 'sluice cat' writes any blob", digest, detail.text);
	return find_exit_code(r);
}

/* The entry of an index for a platform: its own, or else an index in it that may have one. */
static const struct descriptor *choose(const struct manifest *index, const struct platform *want)
{
	const struct descriptor *best = manifest_pick(index, want);

	for (size_t i = 0; !best && i < index->entries_len; i++)
		if (media_type_is_index(index->entries[i].media_type) && !index->entries[i].has_platform)
			best = &index->entries[i];
	return best;
}

static int no_platform(const struct manifest *index, const struct platform *want, struct reason *why)
{
	char text[PLATFORM_TEXT_SIZE];
	const char *comma = "";

	platform_format(want, text);
	reason_set(why, "the index has no manifest for %s; it has:", text);
	for (size_t i = 0; i < index->entries_len; i++) {
		const struct descriptor *d = &index->entries[i];
		if (!d->has_platform || platform_is_of_no_machine(&d->platform))
			continue;
		platform_format(&d->platform, text);
		reason_set(why, "%s%s %s", why->text, comma, text);
		comma = ",";
	}
	return EX_NOINPUT;
}

/* Go down from an index to the manifest for one platform. 0, or an exit code with a reason. */
static int descend(struct inspection *in, const struct platform *want, struct reason *why)
{
	for (unsigned depth = 0; in->manifest.kind == MANIFEST_INDEX; depth++) {
		const struct descriptor *d = choose(&in->manifest, want);
		if (!d)
			return no_platform(&in->manifest, want, why);
		if (depth > MANIFEST_NESTING_MAX) {
			reason_set(why, "the index is nested deeper than %d", MANIFEST_NESTING_MAX);
			return EX_DATAERR;
		}
		in->shown = *d;
		int code = load(in, why);
		if (code != 0)
			return code;
	}
	return 0;
}

/* "stored", or what is wrong, as far as its size tells. */
static const char *state_of(const struct inspection *in, const struct descriptor *d)
{
	uint64_t size;
	int r = layout_blob_size(in->layout, &d->digest, &size);

	if (r == 0)
		return size == d->size ? "stored" : "damaged";
	if (in->found.entry != SIZE_MAX && names_lists(names_left_out(in->names, in->found.entry), &d->digest))
		return "left out";
	return r == -ENOENT ? "missing" : "damaged";
}

static int add_digest(struct json_t *array, const struct digest *d)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(d, digest);
	return json_append_text(array, digest);
}

/* The layers of the manifest's JSON; its entries have the config before them. */
static const struct json_t *layer_json(const struct inspection *in, size_t entry)
{
	return json_at(json_member(in->root, "layers"), entry - 1);
}

static struct json_t *layers_json(const struct inspection *in)
{
	struct json_t *array = json_array_make();

	for (size_t i = 1; array && i < in->manifest.entries_len; i++) {
		const struct descriptor *d = &in->manifest.entries[i];
		const char *title = json_member_text(json_member(layer_json(in, i), "annotations"), TITLE_KEY);
		char digest[DIGEST_TEXT_SIZE];
		struct json_t *layer = json_object_make();
		digest_format(&d->digest, digest);
		(void)json_set_text(layer, "digest", digest);
		(void)json_set_u64(layer, "size", d->size);
		(void)json_set_text(layer, "media_type", d->media_type);
		if (title)
			(void)json_set_text(layer, "title", title);
		(void)json_set_text(layer, "state", state_of(in, d));
		(void)json_append(array, layer);
	}
	return array;
}

/* A member that another document has, if it has the right form; else null, as Go writes it. */
static void copy_member(struct json_t *to, const char *key, const struct json_t *from, const char *from_key,
			bool (*is_valid)(const struct json_t *))
{
	struct json_t *value = from ? json_member(from, from_key) : NULL;

	(void)json_set(to, key, value && is_valid(value) ? json_share(value) : json_nothing_make());
}

static bool is_text(const struct json_t *value)
{
	return json_text(value) != NULL;
}

static void copy_text(struct json_t *to, const char *key, const struct json_t *from, const char *from_key)
{
	const char *text = from ? json_member_text(from, from_key) : NULL;

	(void)json_set_text(to, key, text ? text : "");
}

/* The config of an image; NULL if it is not stored, or damaged. */
static struct json_t *config_load(const struct inspection *in)
{
	AUTO_BUF text = BUF_INIT;
	struct json_t *config = NULL;

	if (layout_document_load(in->layout, &in->manifest.entries[0].digest, &text, NULL) < 0 ||
	    json_parse(buf_span(&text), &config, NULL) < 0)
		return NULL;
	return config;
}

static struct json_t *layers_data(const struct inspection *in)
{
	struct json_t *array = json_array_make();

	for (size_t i = 1; array && i < in->manifest.entries_len; i++) {
		const struct descriptor *d = &in->manifest.entries[i];
		char digest[DIGEST_TEXT_SIZE];
		struct json_t *layer = json_object_make();
		digest_format(&d->digest, digest);
		(void)json_set_text(layer, "MIMEType", d->media_type);
		(void)json_set_text(layer, "Digest", digest);
		(void)json_set_u64(layer, "Size", d->size);
		copy_member(layer, "Annotations", layer_json(in, i), "annotations", json_is_object);
		(void)json_append(array, layer);
	}
	return array;
}

/* What is not stored as described, of config and layers. */
static void add_missing(const struct inspection *in, struct json_t *out)
{
	struct json_t *array = json_array_make();

	for (size_t i = 0; array && i < in->manifest.entries_len; i++) {
		const char *state = state_of(in, &in->manifest.entries[i]);
		if (strcmp(state, "missing") == 0 || strcmp(state, "damaged") == 0)
			(void)add_digest(array, &in->manifest.entries[i].digest);
	}
	if (json_len(array) > 0)
		(void)json_set(out, "Missing", array);
	else
		json_free(array);
}

/* The keys of skopeo, in its order; then what it does not have. */
static struct json_t *summary_json(const struct inspection *in)
{
	char digest[DIGEST_TEXT_SIZE];
	enum image_kind kind = image_kind_of(&in->manifest);
	AUTO_JSON config = kind == IMAGE_IMAGE ? config_load(in) : NULL;
	const struct json_t *runs = config ? json_member(config, "config") : NULL;
	struct json_t *out = json_object_make(), *layers = json_array_make();

	if (in->found.name)
		(void)json_set_text(out, "Name", in->found.name);
	digest_format(&in->found.descriptor.digest, digest);
	(void)json_set_text(out, "Digest", digest);
	(void)json_set(out, "RepoTags", json_array_make());
	copy_member(out, "Created", config, "created", is_text);
	copy_text(out, "DockerVersion", config, "docker_version");
	copy_member(out, "Labels", runs, "Labels", json_is_object);
	copy_text(out, "Architecture", config, "architecture");
	copy_text(out, "Os", config, "os");
	for (size_t i = 1; layers && i < in->manifest.entries_len; i++)
		(void)add_digest(layers, &in->manifest.entries[i].digest);
	(void)json_set(out, "Layers", layers);
	(void)json_set(out, "LayersData", layers_data(in));
	copy_member(out, "Env", runs, "Env", json_is_array);
	if (kind != IMAGE_IMAGE) {
		(void)json_set_text(out, "ArtifactType",
				    *in->manifest.artifact_type ? in->manifest.artifact_type
								: in->manifest.entries[0].media_type);
		copy_member(out, "Annotations", in->root, "annotations", json_is_object);
	}
	add_missing(in, out);
	return out;
}

static int print_json(const struct settings *s, struct json_t *value, struct reason *why)
{
	if (!value) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	report_document(value, s->context.json);
	json_free(value);
	return 0;
}

/* Bytes as they are, without a newline. */
static int print_bytes(const struct buf *text, struct reason *why)
{
	int r = file_write_all(STDOUT_FILENO, text->data, text->len, NULL);

	if (r < 0)
		reason_set(why, "cannot write to standard output: %s", strerror(-r));
	return r < 0 ? EX_IOERR : 0;
}

static int print_config(struct inspection *in, struct reason *why)
{
	buf_clear(&in->text);
	int r = layout_document_load(in->layout, &in->manifest.entries[0].digest, &in->text, why);
	return r < 0 ? find_exit_code(r) : print_bytes(&in->text, why);
}

static int add_all_names(const struct inspection *in, struct graph *g)
{
	struct descriptor d;
	const char *name;
	int r = 0;

	for (size_t i = 0; r == 0 && i < names_len(in->names); i++)
		if (names_at(in->names, i, &name, &d) == 0)
			r = graph_add(g, &d);
	return r;
}

struct search {
	const struct graph_node *node;
	bool found;
	struct json_t *manifests;
};

static void compare_node(void *self, const struct graph_node *node)
{
	struct search *s = self;

	s->found |= node == s->node;
}

static void add_manifest(void *self, const struct graph_node *node)
{
	(void)add_digest(((struct search *)self)->manifests, &node->digest);
}

/* The names that lead to it, and the manifests that have it among their entries. */
static struct json_t *needed_by_json(const struct inspection *in, struct graph *g)
{
	struct search s = {.node = graph_find(g, &in->found.descriptor.digest), .manifests = json_array_make()};
	struct json_t *out = json_object_make(), *names = json_array_make();
	char digest[DIGEST_TEXT_SIZE];
	struct descriptor d;
	const char *name;

	for (size_t i = 0; s.node && i < names_len(in->names); i++) {
		if (names_at(in->names, i, &name, &d) < 0)
			continue;
		s.found = false;
		graph_each(g, &d, compare_node, &s);
		if (s.found && name)
			(void)json_append_text(names, name);
		else if (s.found)
			(void)add_digest(names, &d.digest);
	}
	if (s.node)
		graph_each_parent(g, s.node, add_manifest, &s);
	digest_format(&in->found.descriptor.digest, digest);
	(void)json_set_text(out, "digest", digest);
	(void)json_set(out, "names", names);
	(void)json_set(out, "manifests", s.manifests);
	return out;
}

static int print_needed_by(const struct settings *s, const struct inspection *in, struct reason *why)
{
	struct graph *g = NULL;
	int r = graph_new(in->layout, &g);

	if (r == 0)
		r = add_all_names(in, g);
	struct json_t *value = r == 0 ? needed_by_json(in, g) : NULL;
	graph_free(g);
	return print_json(s, value, why);
}

/* Of an index the manifest for a platform, except --raw, which shows it itself if none is given. */
static int inspect_manifest(struct inspection *in, const struct settings *s, struct reason *why)
{
	struct platform want;

	platform_of_host(&want);
	if (s->pull_platform && platform_parse(span_str(s->pull_platform), &want, why) < 0)
		return EX_USAGE;
	in->shown = in->found.descriptor;
	int code = load(in, why);
	if (code == 0 && !(s->inspect_raw && !s->pull_platform))
		code = descend(in, &want, why);
	if (code != 0)
		return code;
	if (s->inspect_raw)
		return print_bytes(&in->text, why);
	if (s->inspect_config)
		return print_config(in, why);
	if (json_parse(buf_span(&in->text), &in->root, why) < 0)
		return EX_OSERR;
	return print_json(s, s->inspect_layers ? layers_json(in) : summary_json(in), why);
}

static int inspect(struct inspection *in, const struct settings *s, const char *text, struct reason *why)
{
	int r = layout_open(s->context.places.store, LAYOUT_READER, &in->layout, why);

	if (r == 0)
		r = names_load(in->layout, &in->names, why);
	if (r == 0)
		r = find(in->layout, in->names, text, FIND_CONTENT, &in->found, why);
	if (r < 0)
		return find_exit_code(r);
	return s->inspect_needed_by ? print_needed_by(s, in, why) : inspect_manifest(in, s, why);
}

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	const char *text = call->argv[0];
	struct inspection in = {.layout = NULL, .text = BUF_INIT};
	struct reason why = {""};
	int ways = s->inspect_raw + s->inspect_config + s->inspect_layers + s->inspect_needed_by, code = EX_USAGE;

	if (ways > 1)
		reason_set(&why, "--raw, --config, --layers and --needed-by exclude each other");
	else
		code = inspect(&in, s, text, &why);
	if (code != 0)
		report_error("inspect", text, code, NULL, &why);
	inspection_release(&in);
	return report_stdout(code);
}

#define FLAG(row_name, member, text)                                                                                   \
	{                                                                                                              \
		.name = (row_name), .kind = OPT_FLAG, .at = offsetof(struct settings, member), .def = "no",            \
		.help = (text)                                                                                         \
	}

static const struct opt options[] = {
    FLAG("raw", inspect_raw, "the manifest or index, byte for byte"),
    FLAG("config", inspect_config, "the config, byte for byte"),
    FLAG("layers", inspect_layers, "a list of the layers, and whether they are stored"),
    FLAG("needed-by", inspect_needed_by, "the names and manifests that need it"),
    {.name = "platform",
     .kind = OPT_TEXT,
     .at = offsetof(struct settings, pull_platform),
     .min = 1,
     .max = PLATFORM_TEXT_SIZE - 1,
     .arg = "P",
     .help = "of an index: OS/ARCH[/VARIANT], else this machine's"},
    {.name = NULL},
};

const struct verb command_inspect = {
    .name = "inspect",
    .usage = "[OPTION...] NAME|DIGEST",
    .summary = "show what a stored image, artifact or blob is, as JSON",
    .help = "With the keys of 'skopeo inspect', and Missing for content that is not stored\n"
	    "as described. At least 6 digits of a digest suffice.\n",
    .operands_min = 1,
    .operands_max = 1,
    .options = options,
    .run = run,
};
