/* SPDX-License-Identifier: Apache-2.0
 *
 * board_plan_plot.c -- a plan as a picture: the roofline with every layer on it, and how much of
 * the array each layer uses. */
#include "model/gnuplot.h"
#include "model/plan/board_plan.h"

/* One row a layer with products: operations a byte, GOP/s, utilisation, share of the time. */
static void write_layers(const struct fn_gnuplot *plot, const struct fn_board_plan *plan,
                         int batch) {
    (void)fputs("$layers << EOD\n", plot->script);
    for (int i = 0, n = 0; i < plan->pipeline.n_layers; i++) {
        struct fn_cost cost;
        double operations = 2.0 * batch * (double)plan->pipeline.macs[i];
        if (operations <= 0) continue;
        fn_pipeline_cost(&plan->pipeline, &plan->speed, i, batch, &cost);
        (void)fprintf(plot->script, "%d %g %g %g %g\n", ++n, operations / cost.bytes,
                      operations / cost.seconds / 1e9, 100 * cost.utilisation, 1e3 * cost.seconds);
    }
    (void)fputs("EOD\n", plot->script);
}

fn_status fn_board_plan_plot(const char *path, const struct fn_board_plan *plan,
                             struct fn_error *err) {
    struct fn_gnuplot plot;
    int batch = plan->batches[plan->n_batches - 1];
    const struct fn_fpga_sizes *sizes = &plan->pipeline.sizes;
    double peak = 2.0 * sizes->vec * sizes->lane * plan->speed.hertz / 1e9;
    fn_status status = fn_gnuplot_begin(path, 1000, 900, &plot, err);
    if (status != FN_OK) return status;
    char title[200];
    (void)snprintf(title, sizeof title,
                   "%s on %s, array %d x %d, batch %d: predicted, not measured", plan->model,
                   plan->board.name, sizes->vec, sizes->lane, batch);
    write_layers(&plot, plan, batch);
    (void)fputs("set multiplot layout 2,1 title ", plot.script);
    fn_gnuplot_quote(&plot, title);
    (void)fprintf(
        plot.script,
        "\nset grid\nset logscale xy\nset key bottom right\n"
        "set xlabel 'operations a byte of off-chip traffic'\nset ylabel 'GOP/s'\n"
        "roof(x) = x * %g < %g ? x * %g : %g\n"
        "plot [1:10000] roof(x) lw 2 title 'roofline', $layers using 2:3 with points "
        "pt 7 ps 0.6 title 'a layer'\n"
        "unset logscale\nset xlabel 'convolution, in order of execution'\n"
        "set ylabel '%% of the array used'\nset yrange [0:100]\nset y2tics\n"
        "set y2label 'milliseconds'\nset key top right\n"
        "set style fill solid 0.5 noborder\nset boxwidth 0.9\n"
        "plot $layers using 1:4 with boxes title 'used', $layers using 1:5 axes x1y2 with "
        "steps lw 2 title 'time'\nunset multiplot\n",
        plan->speed.bytes_per_second / 1e9, peak, plan->speed.bytes_per_second / 1e9, peak);
    return fn_gnuplot_finish(&plot, err);
}
