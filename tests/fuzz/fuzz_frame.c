/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of frames: the frames read before the first error, written again, are the beginning of the stream. */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Base */
#include "common/base/file.h"

/* Wire */
#include "common/wire/frame.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

#define LENGTH_BYTES 4

static void rewind_to(int fd, const void *data, size_t len)
{
	FUZZ_CHECK(ftruncate(fd, 0) == 0 && file_pwrite_all(fd, data, len, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
}

/* A file with exactly these bytes. */
static void check_file(int fd, const uint8_t *data, size_t len)
{
	static uint8_t piece[64 << 10];
	size_t at = 0, got;
	do {
		FUZZ_CHECK(file_pread_full(fd, piece, sizeof(piece), at, &got) == 0);
		FUZZ_CHECK(at + got <= len && memcmp(piece, data + at, got) == 0);
		at += got;
	} while (got == sizeof(piece));
	FUZZ_CHECK(at == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int in = -1, out = -1;
	static struct frame_reader *reader;

	if (in < 0) {
		in = memfd_create("in", MFD_CLOEXEC);
		out = memfd_create("out", MFD_CLOEXEC);
		FUZZ_CHECK(in >= 0 && out >= 0 && frame_reader_new(in, &reader) == 0);
	}
	rewind_to(in, data, len);
	struct message m;
	enum decode_verdict v = DECODE_OK;
	size_t at = 0;
	int r;
	while ((r = frame_read(reader, &m, &v)) == 1) {
		if (at == 0)
			rewind_to(out, NULL, 0);
		FUZZ_CHECK(frame_write(out, &m) == 0);
		at += LENGTH_BYTES + message_head_size(&m) + m.payload.len;
	}
	FUZZ_CHECK(at <= len);
	if (at > 0)
		check_file(out, data, at);
	FUZZ_CHECK(r == 0 ? at == len : r == -ENODATA || (r == -EBADMSG && v != DECODE_OK));
	return 0;
}
