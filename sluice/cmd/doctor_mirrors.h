/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of `sluice doctor` for mirrors that are configured for podman, skopeo and containerd but not for Sluice, which
 * does not read their files: containers-registries.conf(5) and /etc/containerd/certs.d/HOST/hosts.toml.
 */
#ifndef SLUICE_SLUICE_CMD_DOCTOR_MIRRORS_H
#define SLUICE_SLUICE_CMD_DOCTOR_MIRRORS_H

/* Sluice */
#include "sluice/cmd/finding.h"

/* A warning for each such registry, with the lines for `config`, Sluice's own file; NULL if there is none. */
void doctor_check_mirrors(const char *config, struct findings *f);

#endif
