/* SPDX-License-Identifier: Apache-2.0
 *
 * fn_conv -- one convolution layer of one picture: counters that name a vector of input and of
 * weights every clock, the array, and the finishing of its sums. Positions are kept in counters that
 * are added to and compared; what would have to be multiplied or divided for comes with the layer,
 * as in the kernels (fpga_params.h).
 *
 * Memories outside answer one clock after their address. Order: block of LANE output channels, row,
 * column, kernel row, kernel column, vector of input channels; so a layer takes blocks * rows *
 * columns * kernel_h * kernel_w * vectors clocks, and the depth of the pipeline once. */
`default_nettype none
module fn_conv #(
    parameter VEC = 16,
    parameter LANE = 16,
    parameter PACKED = 1
) (
    input  wire clk,
    input  wire reset,
    input  wire start,
    /* the layer; stable until done */
    input  wire signed [15:0] in_height, in_width, out_height, out_width,
    input  wire signed [15:0] kernel_h, kernel_w, stride, pad_h, pad_w,
    input  wire [15:0] vectors, /* input channels / VEC, rounded up */
    input  wire [15:0] blocks,  /* output channels / LANE, rounded up */
    input  wire signed [31:0] row_words,  /* in_width * vectors */
    input  wire signed [31:0] pixel_step, /* stride * vectors */
    input  wire signed [31:0] row_step,   /* stride * row_words */
    input  wire signed [31:0] corner,     /* -(pad_h * row_words + pad_w * vectors) */
    input  wire [31:0] block_pixels,      /* out_height * out_width */
    input  wire [31:0] block_weights,     /* kernel_h * kernel_w * vectors */
    input  wire [31:0] total_pixels,      /* blocks * block_pixels */
    input  wire relu,
    input  wire has_residual,
    /* input: [row][column][vector] words of VEC bytes; outside the picture any address may be named */
    output reg signed [31:0] x_address,
    input  wire [8*VEC-1:0] x_data,
    /* weights: [block][kernel row][kernel column][vector] words of LANE x VEC bytes */
    output reg [31:0] weight_address,
    input  wire [8*VEC*LANE-1:0] weight_data,
    /* channel numbers, by block */
    output reg [15:0] number_address,
    input  wire [32*LANE-1:0] bias_data,
    input  wire [5*LANE-1:0] s_data,
    input  wire [5*LANE-1:0] r_data,
    /* residual and output: [block][row][column] words of LANE bytes */
    output reg [31:0] residual_address,
    input  wire [8*LANE-1:0] residual_data,
    output wire out_valid,
    output reg [31:0] out_address,
    output wire [8*LANE-1:0] out_data,
    output wire done /* with the layer's last output */
);
    /* ---- which vector ---- */
    reg running;
    reg [15:0] block, vector;
    reg signed [15:0] row, column, ky, kx, y, x;
    reg signed [31:0] window, window_row, kernel_row; /* words: where each begins */
    reg [31:0] weight_base;
    wire last_vector = vector + 16'd1 == vectors;
    wire last_kx = kx + 16'sd1 == kernel_w;
    wire last_ky = ky + 16'sd1 == kernel_h;
    wire window_end = last_vector && last_kx && last_ky;
    wire row_end = window_end && column + 16'sd1 == out_width;
    wire block_end = row_end && row + 16'sd1 == out_height;
    wire layer_end = block_end && block + 16'd1 == blocks;
    wire in_picture = y >= 0 && y < in_height && x >= 0 && x < in_width;
    reg asked, asked_first, asked_last, asked_in_picture;

    always @(posedge clk) begin
        asked <= running && !reset;
        asked_first <= vector == 0 && kx == 0 && ky == 0;
        asked_last <= window_end;
        asked_in_picture <= in_picture;
        if (reset || layer_end) running <= 0;
        else if (start) running <= 1;
    end

    always @(posedge clk) begin
        if (start) begin
            {block, vector, row, column, ky, kx} <= 0;
            y <= -pad_h;
            x <= -pad_w;
            x_address <= corner;
            {window, window_row, kernel_row} <= {3{corner}};
            {weight_address, weight_base} <= 0;
        end else if (running) begin
            weight_address <= weight_address + 1;
            x_address <= x_address + 1;
            vector <= vector + 1;
            if (last_vector) begin
                vector <= 0;
                kx <= kx + 1;
                x <= x + 1;
                if (last_kx) begin
                    kx <= 0;
                    x <= x + 1 - kernel_w;
                    ky <= ky + 1;
                    y <= y + 1;
                    kernel_row <= kernel_row + row_words;
                    x_address <= kernel_row + row_words;
                end
            end
            if (window_end) begin
                ky <= 0;
                column <= column + 1;
                x <= x + 1 - kernel_w + stride;
                y <= y + 1 - kernel_h;
                {window, kernel_row, x_address} <= {3{window + pixel_step}};
                weight_address <= weight_base;
            end
            if (row_end) begin
                column <= 0;
                x <= -pad_w;
                row <= row + 1;
                y <= y + 1 - kernel_h + stride;
                {window, window_row, kernel_row, x_address} <= {4{window_row + row_step}};
            end
            if (block_end) begin
                row <= 0;
                y <= -pad_h;
                {window, window_row, kernel_row, x_address} <= {4{corner}};
                block <= block + 1;
                {weight_base, weight_address} <= {2{weight_base + block_weights}};
            end
        end
    end

    /* ---- products and sums ---- */
    wire sums_valid;
    wire [32*LANE-1:0] sums;
    fn_array #(.VEC(VEC), .LANE(LANE), .PACKED(PACKED)) array (
        .clk(clk),
        .reset(reset),
        .valid(asked),
        .first(asked_first),
        .last(asked_last),
        .x(asked_in_picture ? x_data : {8*VEC{1'b0}}),
        .weights(weight_data),
        .sums_valid(sums_valid),
        .sums(sums)
    );

    /* ---- finishing: a pixel's numbers are asked for when the pixel before it has its sums, so they
     * have arrived one clock after its own ---- */
    reg [31:0] pixel;
    reg [3:0] valid_pipe;
    reg [32*LANE-1:0] held;
    always @(posedge clk) begin
        valid_pipe <= reset ? 4'b0 : {valid_pipe[2:0], sums_valid};
        held <= sums;
        if (start) begin
            {pixel, residual_address, out_address} <= 0;
            number_address <= 0;
        end else begin
            if (sums_valid) begin
                residual_address <= residual_address + 1;
                pixel <= pixel + 1;
                if (pixel + 1 == block_pixels) begin
                    pixel <= 0;
                    number_address <= number_address + 1;
                end
            end
            if (out_valid) out_address <= out_address + 1;
        end
    end
    assign out_valid = valid_pipe[3];
    assign done = out_valid && out_address + 1 == total_pixels;

    genvar lane;
    generate
        for (lane = 0; lane < LANE; lane = lane + 1) begin : finishers
            fn_finish finish (
                .clk(clk),
                .sum(held[32*lane+:32]),
                .bias(bias_data[32*lane+:32]),
                .residual(has_residual ? residual_data[8*lane+:8] : 8'd0),
                .s(s_data[5*lane+:5]),
                .r(r_data[5*lane+:5]),
                .relu(relu),
                .q(out_data[8*lane+:8])
            );
        end
    endgenerate
endmodule
`default_nettype wire
