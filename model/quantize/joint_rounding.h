/* SPDX-License-Identifier: Apache-2.0
 *
 * joint_rounding.h -- round the weights of an output channel together, by the error of their sum.
 *
 * Rounding each weight to the nearest makes each error small, but what counts is the error of the
 * products' sum over real inputs. Inputs are alike, so that errors of some weights can undo those
 * of others: with r the errors and C the inputs' covariance, r^T C r is to be small, not r^T r. */
#ifndef FN_JOINT_ROUNDING_H
#define FN_JOINT_ROUNDING_H

#include <stddef.h>
#include <stdint.h>

/* Take a share off the covariances, not the variances: those of a sample, and of few pictures, look
 * stronger than they are, and errors must not be traded for what other pictures do not have.
 * covariance: [n][n], in place. */
void fn_joint_rounding_shrink(float *covariance, size_t n);

/* Improve weights[n], which are exact[n] rounded and clamped to -127...127, by steps of one weight
 * at a time as long as each lessens the error. Deterministic: no sum depends on the CPU.
 * g: [n], room to work in. */
void fn_joint_rounding_improve(const double *exact, const float *covariance, size_t n, float *g,
                               int8_t *weights);

#endif
