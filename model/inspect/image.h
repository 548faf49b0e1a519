/* SPDX-License-Identifier: Apache-2.0
 *
 * image.h -- contents of a memory, as the tools of FPGA makers and simulators read them. */
#ifndef FN_IMAGE_H
#define FN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum fn_image_format {
    FN_IMAGE_MIF,  /* Intel Memory Initialization File, words in hex */
    FN_IMAGE_COE,  /* Xilinx coefficient file, radix 16 */
    FN_IMAGE_HEX,  /* Intel-HEX, byte addresses, words little-endian */
    FN_IMAGE_MEMH, /* Verilog $readmemh */
    FN_IMAGE_MEMB, /* Verilog $readmemb */
    FN_IMAGE_BITS, /* one element per line, as bits */
    FN_IMAGE_C,    /* an array of a C header */
    FN_IMAGE_FORMATS
};

/* Words of elements: element 0 of a word is in its least significant bits. */
struct fn_image {
    const char *name;        /* of the array or memory; letters, digits and _ */
    const uint8_t *bytes;    /* [depth][word_size], borrowed; each element little-endian */
    size_t depth, word_size; /* words; bytes of a word */
    size_t element_size;     /* bytes: 1 or 4 */
};

/* "mif", ...; false when there is no such format. */
bool fn_image_find_format(const char *name, enum fn_image_format *ret);
const char *fn_image_format_name(enum fn_image_format format);

/* Write the image. Whether that succeeded, ferror(to) says. */
void fn_image_write(FILE *to, enum fn_image_format format, const struct fn_image *image);

/* Two's complement elements to sign and magnitude, in place. The smallest number, which has no
 * magnitude, becomes the one above it. */
void fn_image_sign_magnitude(uint8_t *bytes, size_t n_elements, size_t element_size);

#endif
