package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
)

func newServeCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a server",
		Description: "Without a configuration file the defaults hold; --example-config prints a file in\n" +
			"which every field is explained. Flags come after the file.\n\n" +
			"A trial needs nothing: ward serve --trial",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "config", Usage: "the configuration `FILE`"},
			&cli.BoolFlag{Name: "example-config", Usage: "print a configuration file in which every field is explained, and end"},
			&cli.BoolFlag{Name: "check", Usage: "check the configuration and end"},
			&cli.BoolFlag{Name: "trial", Usage: "make TLS and a stand-in for Apple's push service; nothing is asked"},
			&cli.PathFlag{Name: "data", Usage: "the `FOLDER` of the database"},
			&cli.PathFlag{Name: "database-url-file", Usage: "a `FILE` with a PostgreSQL address"},
			&cli.StringFlag{Name: "listen", Usage: "the `ADDRESS` to listen on"},
			&cli.StringFlag{Name: "public-url", Usage: "the `URL` that devices and people use"},
		},
		Action: serve,
	}
}

func serve(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if c.Bool("example-config") {
		_, err := c.App.Writer.Write(server.ExampleConfig())
		return err
	}
	cfg, err := serveConfig(c)
	if err != nil {
		return err
	}
	if err := cfg.Check(); err != nil || c.Bool("check") {
		if err == nil {
			_, err = fmt.Fprintln(c.App.Writer, "The configuration has no mistakes.")
		}
		return err
	}
	collectLessOften()
	s, err := server.New(c.Context, cfg)
	if err != nil {
		return err
	}
	return s.Run(c.Context, nil, func() { welcome(c.App.Writer, s, cfg) })
}

// serveConfig reads the file, then the flags over it.
func serveConfig(c *cli.Context) (server.Config, error) {
	cfg := server.DefaultConfig()
	if path := c.Path("config"); path != "" {
		var err error
		if cfg, err = server.LoadConfig(path); err != nil {
			return cfg, err
		}
	}
	set := func(flag string, field *string) {
		if c.IsSet(flag) {
			*field = c.String(flag)
		}
	}
	set("data", &cfg.Data)
	set("database-url-file", &cfg.DatabaseFile)
	set("listen", &cfg.Listen)
	set("public-url", &cfg.PublicURL)
	if cfg.Trial = c.Bool("trial"); cfg.Trial {
		if cfg.PublicURL == "" {
			cfg.PublicURL = trialURL(cfg.Listen)
		}
		if !c.IsSet("config") {
			cfg.Log = server.Log{Level: "info", Format: "text"}
		}
	}
	return cfg, nil
}

// trialURL is where people reach a trial on this machine: by a name, for browsers bind
// passkeys to names, never to an address.
func trialURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip, bad := netip.ParseAddr(host); err == nil && bad == nil && ip.IsLoopback() {
		return "https://" + net.JoinHostPort("localhost", port)
	}
	return "https://" + listen
}

// welcome says where the server is and what to do first.
func welcome(w io.Writer, s *server.Server, cfg server.Config) {
	lines := []string{"Ward serves " + s.URL()}
	if host, _, err := net.SplitHostPort(cfg.Listen); err == nil && cfg.Trial && host != "" {
		lines = append(lines, "This is a trial: its certificates and its push service are its own. The authority to trust is at "+s.RootFile())
	}
	if link := s.SetupLink(); link != "" {
		lines = append(lines, "The first administrator sets up here, once: "+link)
	}
	for _, l := range lines {
		fmt.Fprintln(w, l)
	}
}

// collectLessOften lets the heap grow to four times what is in use before it is collected,
// unless GOGC says otherwise: with a large fleet pages wait for the collector, and what is
// in use is some hundred megabytes at most. docs/performance.md has the figures.
func collectLessOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
}
