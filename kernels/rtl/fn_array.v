/* SPDX-License-Identifier: Apache-2.0
 *
 * fn_array -- VEC x LANE products a clock: LANE output channels of one pixel, over as many clocks as
 * its window has vectors. A vector may come every clock; first and last frame a window. */
`default_nettype none
module fn_array #(
    parameter VEC = 16,
    parameter LANE = 16,
    parameter PACKED = 1
) (
    input  wire clk,
    input  wire reset,
    input  wire valid,
    input  wire first,
    input  wire last,
    input  wire [8*VEC-1:0] x,
    input  wire [8*VEC*LANE-1:0] weights, /* lane 0 lowest */
    output reg sums_valid,                /* three clocks after the window's last vector */
    output wire [32*LANE-1:0] sums
);
    reg [1:0] valid_pipe, first_pipe, last_pipe;
    wire [32*LANE-1:0] dots;
    genvar lane;

    always @(posedge clk) begin
        valid_pipe <= reset ? 2'b0 : {valid_pipe[0], valid};
        first_pipe <= {first_pipe[0], first};
        last_pipe <= {last_pipe[0], last};
        sums_valid <= !reset && valid_pipe[1] && last_pipe[1];
    end

    generate
        for (lane = 0; lane < LANE; lane = lane + 2) begin : pairs
            fn_dot_two #(.VEC(VEC), .PACKED(PACKED)) dot (
                .clk(clk),
                .x(x),
                .w0(weights[8*VEC*lane+:8*VEC]),
                .w1(weights[8*VEC*(lane+1)+:8*VEC]),
                .sum0(dots[32*lane+:32]),
                .sum1(dots[32*(lane+1)+:32])
            );
        end
        for (lane = 0; lane < LANE; lane = lane + 1) begin : accumulators
            reg signed [31:0] sum;
            wire signed [31:0] dot = dots[32*lane+:32];
            always @(posedge clk)
                if (valid_pipe[1]) sum <= first_pipe[1] ? dot : sum + dot;
            assign sums[32*lane+:32] = sum;
        end
    endgenerate
endmodule
`default_nettype wire
