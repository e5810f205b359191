/* SPDX-License-Identifier: Apache-2.0 */
/* Feed a fuzz target the files of a corpus, in order: replay DIRECTORY. Prints their number. */

/* System */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/file.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (16u << 20)

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **entries;
	int count = argc == 2 ? scandir(argv[1], &entries, visible, alphasort) : -1;
	int dir_fd = count > 0 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (dir_fd < 0) {
		(void)fprintf(stderr, "replay: no corpus in '%s'\n", argc == 2 ? argv[1] : "");
		return 1;
	}
	for (int i = 0; i < count; i++) {
		AUTO_BUF input = BUF_INIT;
		FUZZ_CHECK(file_load_at(dir_fd, entries[i]->d_name, INPUT_MAX, &input) == 0);
		/* Allocate exactly that size, so that the sanitizer detects a read past the end. */
		uint8_t *exact = malloc(input.len > 0 ? input.len : 1);
		FUZZ_CHECK(exact != NULL);
		if (input.len > 0)
			memcpy(exact, input.data, input.len);
		(void)LLVMFuzzerTestOneInput(exact, input.len);
		free(exact);
		free(entries[i]);
	}
	free(entries);
	close_fd(dir_fd);
	(void)printf("%d inputs\n", count);
	return 0;
}
