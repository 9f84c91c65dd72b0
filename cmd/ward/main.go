// Command ward runs a Ward server and works with one from a terminal or a script. It
// holds no rule of its own: each command reads its arguments, asks the server, and
// prints the answer.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run returns the exit status: 0 done, 1 failed, 2 used wrongly, 3 something would change.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	app := newApp()
	app.Reader, app.Writer, app.ErrWriter = stdin, stdout, stderr
	err := app.RunContext(ctx, interspersed(app, args))
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "ward:", explain(ctx, err))
	return exitCode(err)
}
