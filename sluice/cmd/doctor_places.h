/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of `sluice doctor` on files and directories: the runtime directory, the store and its space, the programs
 * and the configuration.
 */
#ifndef SLUICE_SLUICE_CMD_DOCTOR_PLACES_H
#define SLUICE_SLUICE_CMD_DOCTOR_PLACES_H

/* Sluice */
#include "sluice/cmd/finding.h"
#include "sluice/run/context.h"

/* `dir_fd`: the runtime directory, or -1. */
void doctor_check_runtime(const struct context *ctx, int dir_fd, struct findings *f);

/* The store and its file system. `served`: a stage is up, so the store must exist. */
void doctor_check_store(const struct context *ctx, bool served, struct findings *f);

/* Runs each of them. */
void doctor_check_programs(struct findings *f);

/* `services`: systemd starts the stages, with the configuration of its units. */
void doctor_check_config(const struct context *ctx, bool services, struct findings *f);

#endif
