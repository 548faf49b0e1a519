/* SPDX-License-Identifier: Apache-2.0
 *
 * commands.h -- what `facenet` can do. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "clients/cli/args.h"

extern const struct cli_command cli_command_embed;
extern const struct cli_command cli_command_detect;
extern const struct cli_command cli_command_crop;
extern const struct cli_command cli_command_distance;
extern const struct cli_command cli_command_model;
extern const struct cli_command cli_command_dir;

#endif
