package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

func newCatalogueCommand() *cli.Command {
	local := func(more ...cli.Flag) []cli.Flag {
		return append(more,
			&cli.PathFlag{Name: "file", Usage: "`FILE` with the site's own additions"},
			&cli.BoolFlag{Name: "json", Usage: "print the answer as JSON"},
		)
	}
	return &cli.Command{
		Name:  "catalogue",
		Usage: "find messaging apps and their identifiers, and add a site's own",
		Description: "The catalogue is part of ward: these commands ask no server. A site adds what it\n" +
			"knows in a file of its own, which has the same shape.",
		Subcommands: []*cli.Command{
			{
				Name: "search", Usage: "list the apps that have TEXT in a name or an identifier", ArgsUsage: "TEXT",
				Action: catalogueSearch, Flags: local(),
			},
			{
				Name: "show", Usage: "tell all about an app, by its name in the catalogue or any identifier", ArgsUsage: "APP",
				Action: catalogueShow, Flags: local(),
			},
			{
				Name: "add", Usage: "write an app, or more identifiers of one, into the site's file",
				Description: "The file is made if it is not there. Nothing is written unless all of it is right.",
				Action:      catalogueAdd, Flags: local(addFlags()...),
			},
		},
	}
}

// readCatalogue returns Ward's catalogue with what the file of --file adds to it.
func readCatalogue(c *cli.Context) (*catalogue.Catalogue, error) {
	path := c.Path("file")
	if path == "" {
		return catalogue.Builtin(), nil
	}
	text, err := readFile("the site's catalogue", path)
	if err != nil {
		return nil, err
	}
	return catalogue.Extend(catalogue.Builtin(), path, text)
}

func catalogueSearch(c *cli.Context) error {
	args, err := arguments(c, "TEXT")
	if err != nil {
		return err
	}
	known, err := readCatalogue(c)
	if err != nil {
		return err
	}
	found := known.Search(args[0])
	if c.Bool("json") {
		return printValue(c.App.Writer, catalogueApps(found))
	}
	p := &printer{w: c.App.Writer}
	if len(found) == 0 {
		p.line("No app of the catalogue has %q in a name or an identifier.", args[0])
		return p.err
	}
	var rows [][]string
	for _, a := range found {
		var kinds []string
		for _, kind := range catalogue.Kinds() {
			if len(a.Platforms()[kind]) > 0 {
				kinds = append(kinds, kindWords(kind))
			}
		}
		rows = append(rows, []string{a.Slug, a.Name, a.Category, string(a.Status), strings.Join(kinds, ", ")})
	}
	p.table([]string{"APP", "NAME", "CATEGORY", "STATUS", "KNOWN FOR"}, rows)
	return p.err
}

func catalogueShow(c *cli.Context) error {
	args, err := arguments(c, "APP")
	if err != nil {
		return err
	}
	known, err := readCatalogue(c)
	if err != nil {
		return err
	}
	found, err := findApps(known, args[0])
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, catalogueApps(found))
	}
	p := &printer{w: c.App.Writer}
	for i, a := range found {
		if i > 0 {
			p.line("")
		}
		printApp(p, a)
	}
	return p.err
}

// findApps looks an app up by slug, alias or identifier. What it can't find it explains.
func findApps(known *catalogue.Catalogue, name string) ([]catalogue.App, error) {
	if a, ok := known.Lookup(strings.ToLower(name)); ok {
		return []catalogue.App{a}, nil
	}
	var found []catalogue.App
	var spelt, near []string
	for _, a := range known.Search(name) {
		near = append(near, a.Slug)
		for _, ids := range a.Platforms() {
			for _, id := range ids {
				switch {
				case id.ID == name:
					found = append(found, a)
				case strings.EqualFold(id.ID, name):
					spelt = append(spelt, fmt.Sprintf("%s (%s)", id.ID, a.Slug))
				}
			}
		}
	}
	if len(found) > 0 {
		return slices.CompactFunc(found, func(a, b catalogue.App) bool { return a.Slug == b.Slug }), nil
	}
	e := ward.Errorf(ward.NotFound, "The catalogue has no app with the name or identifier %q.", name)
	for _, kind := range catalogue.Kinds() {
		if w, wrong := catalogue.FindWrong(kind, name); wrong {
			e.Details = append(e.Details, fmt.Sprintf("%s %s %s", kindWords(kind), name, w))
		}
	}
	slices.Sort(spelt)
	switch {
	case len(spelt) > 0:
		e.Details = append(e.Details, "case counts; there is "+strings.Join(slices.Compact(spelt), ", "))
	case len(near) > 0:
		e.Details = append(e.Details, "it stands in "+strings.Join(near, ", "))
	}
	return nil, e
}

func printApp(p *printer, a catalogue.App) {
	p.line("%s (%s)", a.Name, a.Slug)
	p.facts(
		"category", a.Category, "status", string(a.Status), "also called", strings.Join(a.Aliases, ", "),
		"forks of", a.ForksOf, "shares with", strings.Join(a.SharesWith, ", "),
		"caution", a.Caution, "good to know", a.Notes,
	)
	var rows [][]string
	var never []string
	unconfirmed := false
	for _, kind := range catalogue.Kinds() {
		for _, id := range a.Platforms()[kind] {
			mark := string(id.Grade)
			if id.Unconfirmed() {
				mark, unconfirmed = mark+", unconfirmed", true
			}
			source := id.Source
			if id.File != "" {
				source += " [" + id.File + "]"
			}
			rows = append(rows, []string{"  " + kindWords(kind), id.ID, mark, source})
			if why := neverBlocked(kind, id); why != "" {
				never = append(never, why)
			}
		}
	}
	if len(rows) == 0 {
		p.line("\n  No identifier is known.")
		return
	}
	p.line("")
	p.table([]string{"  WHERE", "IDENTIFIER", "GRADE", "SOURCE"}, rows)
	slices.Sort(never)
	for _, text := range slices.Compact(never) {
		p.line("\n  Never blocked: %s", text)
	}
	if unconfirmed {
		p.line("\n  Unconfirmed: seen only in a third party's list or code. Check it before you rely on it.")
	}
}

// neverBlocked says why a host is listed but not blocked, "" for what can be blocked.
func neverBlocked(kind string, id catalogue.Identifier) string {
	if kind != "web" && kind != "network" {
		return ""
	}
	if reason, refused := catalogue.Refused(id.ID); refused {
		return reason
	}
	if id.Shared {
		return id.ID + " serves more than this app's chat."
	}
	return ""
}

func kindWords(kind string) string {
	return map[string]string{
		"ios": "iOS", "app_store": "App Store", "android": "Android", "macos": "macOS", "windows": "Windows",
		"linux": "Linux", "web": "web", "network": "network",
	}[kind]
}

// catalogueApp and catalogueID are an app as --json prints it.
type catalogueApp struct {
	Slug        string        `json:"slug"`
	Name        string        `json:"name"`
	Category    string        `json:"category"`
	Status      string        `json:"status"`
	Aliases     []string      `json:"aliases,omitempty"`
	ForksOf     string        `json:"forks_of,omitempty"`
	SharesWith  []string      `json:"shares_with,omitempty"`
	NeverBlock  bool          `json:"never_block,omitempty"`
	Caution     string        `json:"caution,omitempty"`
	Notes       string        `json:"notes,omitempty"`
	Identifiers []catalogueID `json:"identifiers"`
}

type catalogueID struct {
	Kind         string `json:"kind"`
	ID           string `json:"id"`
	Grade        string `json:"grade"`
	Unconfirmed  bool   `json:"unconfirmed"`
	Source       string `json:"source"`
	NeverBlocked string `json:"never_blocked,omitempty"` // the reason
	File         string `json:"file,omitempty"`
}

func catalogueApps(apps []catalogue.App) []catalogueApp {
	out := []catalogueApp{}
	for _, a := range apps {
		v := catalogueApp{
			Slug: a.Slug, Name: a.Name, Category: a.Category, Status: string(a.Status), Aliases: a.Aliases, ForksOf: a.ForksOf,
			SharesWith: a.SharesWith, NeverBlock: a.NeverBlock, Caution: a.Caution, Notes: a.Notes, Identifiers: []catalogueID{},
		}
		for _, kind := range catalogue.Kinds() {
			for _, id := range a.Platforms()[kind] {
				v.Identifiers = append(v.Identifiers, catalogueID{
					Kind: kind, ID: id.ID, Grade: string(id.Grade), Unconfirmed: id.Unconfirmed(),
					Source: id.Source, NeverBlocked: neverBlocked(kind, id), File: id.File,
				})
			}
		}
		out = append(out, v)
	}
	return out
}
