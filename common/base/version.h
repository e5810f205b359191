/* SPDX-License-Identifier: Apache-2.0 */
/* The release, the same for all programs. The Makefile, the package and the tests read it here. */
#ifndef SLUICE_BASE_VERSION_H
#define SLUICE_BASE_VERSION_H

#define SLUICE_VERSION "0.2.0~dev"

#endif
