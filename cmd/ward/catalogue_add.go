package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/wardmdm/ward/profiles/catalogue"
)

// idFlags are the flags that name identifiers, with the kind that each stands for.
func idFlags() [][3]string {
	return [][3]string{
		{"ios", "ios", "bundle `ID` on iPhone and iPad"},
		{"app-store", "app_store", "`NUMBER` in the App Store"},
		{"android", "android", "`PACKAGE` on Android"},
		{"macos", "macos", "bundle `ID` on a Mac"},
		{"windows", "windows", "package family `NAME` or executable on Windows"},
		{"linux", "linux", "`NAME` on Linux, such as flatpak:org.example.App"},
		{"web", "web", "`HOST` of the web version"},
		{"network", "network", "`NAME` that only this app's servers have"},
	}
}

func addFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "slug", Usage: "`NAME` of the app in the catalogue"},
		&cli.StringFlag{Name: "name", Usage: "the app's `NAME` for people; for a new app"},
		&cli.StringFlag{Name: "category", Usage: "`CATEGORY` such as consumer-messaging; for a new app"},
		&cli.StringFlag{Name: "status", Usage: "active, retired or unconfirmed; for a new app (active)"},
		&cli.StringFlag{Name: "forks-of", Usage: "`APP` that a new app modifies or wraps"},
		&cli.StringFlag{Name: "notes", Usage: "`TEXT` that is good to know of a new app"},
		&cli.StringSliceFlag{Name: "alias", Usage: "another `NAME` in the catalogue; may be repeated"},
		&cli.StringSliceFlag{Name: "shares-with", Usage: "`APP` that has the same identifier or host; may be repeated"},
	}
	for _, f := range idFlags() {
		flags = append(flags, &cli.StringSliceFlag{Name: f[0], Usage: f[2] + "; may be repeated"})
	}
	return append(flags,
		&cli.StringFlag{Name: "team", Usage: "`TEAM` id of who signs the Mac app, by which macOS 27 blocks it; with --macos"},
		&cli.StringFlag{Name: "source", Usage: "`TEXT` that says where the identifiers were found"},
		&cli.StringFlag{Name: "grade", Usage: "A for what was read on a device or at the vendor, B for all else (B)"},
	)
}

func catalogueAdd(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	path := c.Path("file")
	add, err := addition(c)
	if err != nil {
		return err
	}
	before, err := readFile("the site's catalogue", path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	after, err := catalogue.Amend(catalogue.Builtin(), path, before, add)
	if err != nil {
		return err
	}
	extended, err := catalogue.Extend(catalogue.Builtin(), path, after)
	if err != nil {
		return err
	}
	if err := replaceFile(path, after); err != nil {
		return fmt.Errorf("the site's catalogue can't be written: %w", err)
	}
	app, _ := extended.Lookup(add.Slug)
	if c.Bool("json") {
		return printValue(c.App.Writer, catalogueApps([]catalogue.App{app})[0])
	}
	p := &printer{w: c.App.Writer}
	p.line("Added to %s: %s (%s)", path, app.Name, app.Slug)
	for _, f := range idFlags() {
		for _, id := range add.Platforms()[f[1]] {
			mark := ""
			if id.Grade == "" || id.Unconfirmed() { // a grade that is not given is B
				mark = ", unconfirmed"
			}
			if id.Team != "" {
				mark += ", signed by " + id.Team
				if extended.Signer(id.ID) == "" {
					mark += ": a Mac only watches for it until the team is confirmed (--grade A)"
				}
			}
			p.line("  %s %s%s", kindWords(f[1]), id.ID, mark)
		}
	}
	return p.err
}

// addition reads what is to be added from the flags.
func addition(c *cli.Context) (catalogue.App, error) {
	for _, needed := range []string{"file", "slug"} {
		if strings.TrimSpace(c.String(needed)) == "" {
			return catalogue.App{}, usagef(c, "--%s is missing.", needed)
		}
	}
	a := catalogue.App{
		Slug: c.String("slug"), Name: c.String("name"), Category: c.String("category"), Status: catalogue.Status(c.String("status")),
		ForksOf: c.String("forks-of"), Notes: c.String("notes"), Aliases: c.StringSlice("alias"), SharesWith: c.StringSlice("shares-with"),
	}
	lists := map[string]*[]catalogue.Identifier{
		"ios": &a.IOS, "app_store": &a.AppStore, "android": &a.Android, "macos": &a.MacOS,
		"windows": &a.Windows, "linux": &a.Linux, "web": &a.Web, "network": &a.Network,
	}
	found := 0
	for _, f := range idFlags() {
		for _, id := range c.StringSlice(f[0]) {
			found++
			*lists[f[1]] = append(*lists[f[1]], catalogue.Identifier{ID: id, Grade: catalogue.Grade(c.String("grade")), Source: c.String("source")})
		}
	}
	for i := range a.MacOS {
		a.MacOS[i].Team = c.String("team")
	}
	switch {
	case c.String("team") != "" && len(a.MacOS) == 0:
		return catalogue.App{}, usagef(c, "--team needs --macos: say which Mac app the team signs.")
	case found > 0 && strings.TrimSpace(c.String("source")) == "":
		return catalogue.App{}, usagef(c, "--source is missing: say where the identifiers were found.")
	case found == 0 && a.Name == "" && len(a.Aliases) == 0 && len(a.SharesWith) == 0:
		return catalogue.App{}, usagef(c, "there is nothing to add: give an identifier, such as --ios or --android.")
	}
	return a, nil
}

// replaceFile writes a file whole or not at all. A link stays a link, a file keeps its mode.
func replaceFile(path string, text []byte) error {
	mode := os.FileMode(0o644)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ward-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
