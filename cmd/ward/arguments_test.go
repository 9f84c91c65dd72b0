package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func TestInterspersed(t *testing.T) {
	t.Parallel()
	app := &cli.App{Commands: []*cli.Command{{
		Name: "invite", Flags: []cli.Flag{&cli.StringFlag{Name: "name"}, &cli.BoolFlag{Name: "json"}},
		Subcommands: []*cli.Command{{Name: "revoke", Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}, &cli.StringFlag{Name: "url", Aliases: []string{"u"}}}}},
	}}}
	for _, tt := range []struct {
		name string
		in   []string
		want []string
	}{
		{"nothing", nil, nil},
		{"only the program", []string{"ward"}, []string{"ward"}},
		{"flag after argument", []string{"ward", "invite", "revoke", "ID", "--json"}, []string{"ward", "invite", "revoke", "--json", "--", "ID"}},
		{"value after argument", []string{"ward", "invite", "revoke", "ID", "-u", "X"}, []string{"ward", "invite", "revoke", "-u", "X", "--", "ID"}},
		{"joined value", []string{"ward", "invite", "revoke", "ID", "--url=X", "more"}, []string{"ward", "invite", "revoke", "--url=X", "--", "ID", "more"}},
		{"a value that is a command's name", []string{"ward", "invite", "--name", "revoke"}, []string{"ward", "invite", "--name", "revoke"}},
		{"an argument that is a command's name", []string{"ward", "invite", "revoke", "invite"}, []string{"ward", "invite", "revoke", "--", "invite"}},
		{"what follows two dashes is no flag", []string{"ward", "invite", "revoke", "--", "--json"}, []string{"ward", "invite", "revoke", "--", "--json"}},
		{"one dash is an argument", []string{"ward", "invite", "-", "--json"}, []string{"ward", "invite", "--json", "--", "-"}},
		{"a missing value", []string{"ward", "invite", "--name"}, []string{"ward", "invite", "--name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, interspersed(app, tt.in)); diff != "" {
				t.Errorf("interspersed(%q) mismatch (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}
