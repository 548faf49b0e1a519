/* SPDX-License-Identifier: Apache-2.0
 *
 * answer_line.h -- a server's answer as one line that also says which file it is about. */
#ifndef CLI_ANSWER_LINE_H
#define CLI_ANSWER_LINE_H

/* {"file":NAME, and then the members of `json`, an object, in the bytes that came: numbers are not
 * written anew. Ends with a newline; owned by the caller. NULL: `name` is not UTF-8, or no memory.
 */
char *cli_answer_line(const char *name, const char *json);

#endif
