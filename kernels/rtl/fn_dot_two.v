/* SPDX-License-Identifier: Apache-2.0
 *
 * fn_dot_two -- two output channels' products with the same input bytes, summed over VEC bytes.
 *
 * PACKED 1: one multiplier of 27 x 18 bits makes both products, (w1 * 2^18 + w0) * x, as the kernels
 * do for DSP48E2 (fpga_array.h). The low 18 bits hold a signed sum of at most 8 products, because
 * no weight is -128: 8 * 127 * 128 < 2^17; so sums go in chains of 8, and what a chain's low part
 * borrowed from its high part is given back when it is taken apart.
 * PACKED 0: one multiplier a product, for parts that have two or three small ones in a block. */
`default_nettype none
module fn_dot_two #(
    parameter VEC = 16,
    parameter PACKED = 1
) (
    input  wire clk,
    input  wire [8*VEC-1:0] x,
    input  wire [8*VEC-1:0] w0,
    input  wire [8*VEC-1:0] w1,
    output reg signed [31:0] sum0, /* two clocks after its operands */
    output reg signed [31:0] sum1
);
    localparam CHAIN = VEC < 8 ? VEC : 8;
    localparam CHAINS = VEC / CHAIN;
    genvar v;
    integer i;

    generate
        if (PACKED != 0) begin : packed_two
            wire signed [44:0] product [0:VEC-1];
            for (v = 0; v < VEC; v = v + 1) begin : multipliers
                wire signed [7:0] low_weight = w0[8*v+:8];
                wire signed [26:0] both =
                    $signed({w1[8*v+7], w1[8*v+:8], 18'b0}) + {{19{low_weight[7]}}, low_weight};
                reg signed [44:0] registered;
                always @(posedge clk) registered <= both * $signed(x[8*v+:8]);
                assign product[v] = registered;
            end
            reg signed [44:0] chain;
            reg signed [17:0] low;
            reg signed [26:0] high;
            reg signed [31:0] total0, total1;
            integer c;
            always @* begin
                total0 = 0;
                total1 = 0;
                for (c = 0; c < CHAINS; c = c + 1) begin
                    chain = 0;
                    for (i = 0; i < CHAIN; i = i + 1) chain = chain + product[c*CHAIN+i];
                    low = chain[17:0];
                    high = chain[44:18];
                    total0 = total0 + {{14{low[17]}}, low};
                    total1 = total1 + {{5{high[26]}}, high} + {31'b0, low[17]};
                end
            end
            always @(posedge clk) begin
                sum0 <= total0;
                sum1 <= total1;
            end
        end else begin : plain_two
            wire signed [15:0] product0 [0:VEC-1];
            wire signed [15:0] product1 [0:VEC-1];
            for (v = 0; v < VEC; v = v + 1) begin : multipliers
                reg signed [15:0] registered0, registered1;
                always @(posedge clk) begin
                    registered0 <= $signed(w0[8*v+:8]) * $signed(x[8*v+:8]);
                    registered1 <= $signed(w1[8*v+:8]) * $signed(x[8*v+:8]);
                end
                assign product0[v] = registered0;
                assign product1[v] = registered1;
            end
            reg signed [31:0] total0, total1;
            always @* begin
                total0 = 0;
                total1 = 0;
                for (i = 0; i < VEC; i = i + 1) begin
                    total0 = total0 + {{16{product0[i][15]}}, product0[i]};
                    total1 = total1 + {{16{product1[i][15]}}, product1[i]};
                end
            end
            always @(posedge clk) begin
                sum0 <= total0;
                sum1 <= total1;
            end
        end
    endgenerate
endmodule
`default_nettype wire
