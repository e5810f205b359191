/* Own header */
#include "sluice/show/record.h"

/* Base */
#include "common/base/clock.h"

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/show/text.h"

struct json_t *record_json(const struct record *r)
{
	struct json_t *object = json_object_make();

	if (object)
		record_json_into(r, object);
	return object;
}

void record_json_into(const struct record *r, struct json_t *object)
{
	char started[CLOCK_TEXT_SIZE], updated[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];
	uint64_t eta_s = human_eta_s(r->offset, r->total, r->rate);

	clock_format(r->started_s, started);
	clock_format(r->updated_s, updated);
	clock_format(r->until_s, until);
	(void)json_set_text(object, "ref", r->ref);
	(void)json_set_text(object, "state", transfer_state_name(r->state));
	(void)json_set_u64(object, "offset", r->offset);
	if (r->total != SIZE_UNKNOWN)
		(void)json_set_u64(object, "total", r->total);
	if (r->digest[0])
		(void)json_set_text(object, "digest", r->digest);
	if (r->media_type[0])
		(void)json_set_text(object, "media_type", r->media_type);
	(void)json_set_u64(object, "rate", r->rate);
	if (r->state == TRANSFER_FETCHING && eta_s != HUMAN_ETA_UNKNOWN)
		(void)json_set_u64(object, "eta_s", eta_s);
	(void)json_set_text(object, "started", started);
	(void)json_set_text(object, "updated", updated);
	if (r->until_s > 0)
		(void)json_set_text(object, "until", until);
	(void)json_set_u64(object, "attempts", r->attempts);
	(void)json_set_u64(object, "rehashed_bytes", r->rehashed);
	if (r->fail_class != FAIL_NONE)
		(void)json_set_text(object, "class", fail_class_name(r->fail_class));
	if (r->text[0])
		(void)json_set_text(object, "error", r->text);
}
