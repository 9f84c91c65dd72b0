package main

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server"
	"golang.org/x/sync/errgroup"
)

func newDemoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "play the whole story with virtual iPhones on a real server of your own",
		Description: "Starts a server on loopback with a temporary data folder, enrols virtual iPhones,\n" +
			"keeps consumer messaging apps off them, gives them the approved app and its\n" +
			"certificate, and locks a lost one. Two people with passkeys wipe it, the brake holds\n" +
			"what comes too fast, and the file of the case is checked as a stranger would. Each\n" +
			"step is judged by what the phones hold. Then the server stays up to be looked at.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "devices", Value: 24, Usage: "how many iPhones, 6 to 1000"},
			&cli.PathFlag{Name: "data", Usage: "keep the data in this `FOLDER`, which must be new"},
			&cli.BoolFlag{Name: "exit", Usage: "end after the story"},
			&cli.BoolFlag{Name: "json", Usage: "print each figure as JSON, and end after the story"},
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "how long the story may take"},
		},
		Action: demo,
	}
}

func demo(c *cli.Context) (err error) {
	if _, err := arguments(c); err != nil {
		return err
	}
	n := c.Int("devices")
	if n < 6 || n > 1000 {
		return usagef(c, "--devices is %d: the story needs 6 to 1000.", n)
	}
	dir := c.Path("data")
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ward-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return ward.Errorf(ward.Conflict, "%s is not empty: the demonstration needs a new folder.", dir)
	}
	ctx, stop := context.WithCancel(c.Context)
	defer stop()
	srv, l, err := demoServer(ctx, dir)
	if err != nil {
		return err
	}
	link := srv.SetupLink()
	g, running := errgroup.WithContext(ctx)
	started := make(chan struct{})
	g.Go(func() error { return srv.Run(ctx, l, func() { close(started) }) })
	g.Go(func() error {
		defer stop()
		select {
		case <-started:
		case <-running.Done():
			return nil
		}
		return play(running, c, srv, n, link)
	})
	err = g.Wait()
	if c.Context.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // the person has seen enough
	}
	return err
}

// demoServer opens a trial server on a free port of loopback.
func demoServer(ctx context.Context, dir string) (*server.Server, net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	cfg := server.DefaultConfig()
	cfg.Data, cfg.Listen, cfg.PublicURL, cfg.Trial = dir, l.Addr().String(), "https://"+l.Addr().String(), true
	cfg.Organisation = "Demonstration Hospital"
	cfg.Log = server.Log{Level: "error", Format: "text"}
	srv, err := server.New(ctx, cfg)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return srv, l, nil
}

// play runs the story and then waits to be looked at.
func play(ctx context.Context, c *cli.Context, srv *server.Server, n int, link string) error {
	out := newTeller(c.App.Writer, c.Bool("json"))
	out.line("Ward serves %s", srv.URL())
	if link != "" {
		out.line("Sign in once at %s", link)
	}
	story, err := newStory(ctx, srv, n, out)
	if err != nil {
		return err
	}
	defer story.close()
	inTime, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
	err = story.tell(inTime)
	cancel()
	if printErr := out.end(story, err); printErr != nil {
		return errors.Join(err, printErr)
	}
	if err != nil || c.Bool("exit") || c.Bool("json") {
		return err
	}
	out.line("The server stays up at %s. Press Ctrl-C to end it.", srv.URL())
	<-ctx.Done()
	return nil
}
