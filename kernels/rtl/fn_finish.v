/* SPDX-License-Identifier: Apache-2.0
 *
 * fn_finish -- one output channel's sum to its byte: bias, residual, rounding shift, clamp
 * (engine/fixed.h). Three clocks; s and relu are stable while a block lasts. s is 0...30, r 0...23,
 * and no sum leaves 32 bits: the host proves it for every channel before a model is loaded
 * (engine/limits.h). */
`default_nettype none
module fn_finish (
    input  wire clk,
    input  wire signed [31:0] sum,
    input  wire signed [31:0] bias,
    input  wire signed [7:0] residual, /* 0 when the layer has none */
    input  wire [4:0] s,
    input  wire [4:0] r,
    input  wire relu,
    output reg signed [7:0] q
);
    reg signed [31:0] added, shifted;
    reg [4:0] s_added;
    wire signed [31:0] wide = {{24{residual[7]}}, residual};
    wire signed [31:0] half = $signed((32'd1 << s_added) >> 1);

    always @(posedge clk) begin
        added <= sum + bias + (wide <<< r);
        s_added <= s;
        shifted <= (added + half) >>> s_added;
        if (shifted > 127) q <= 8'sd127;
        else if (relu && shifted < 0) q <= 0;
        else if (shifted < -128) q <= -8'sd128;
        else q <= shifted[7:0];
    end
endmodule
`default_nettype wire
