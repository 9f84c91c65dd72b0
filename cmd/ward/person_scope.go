package main

import (
	"net/http"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
)

// scopeFlags name the sites and the groups that a person is bounded to.
func scopeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "site", Usage: "bound the person to devices of this `SITE`; may be repeated"},
		&cli.StringSliceFlag{Name: "group", Usage: "bound the person to devices of this `GROUP`; may be repeated"},
	}
}

func bounds(s ward.Scope) *api.Scope {
	if s.All() {
		return nil
	}
	return &api.Scope{Sites: s.Sites, Groups: s.Groups}
}

// boundsOf says in words what a person is bounded to.
func boundsOf(p api.Person) string {
	if p.Scope == nil {
		return ""
	}
	return access.Bounds(ward.Scope{Sites: p.Scope.Sites, Groups: p.Scope.Groups})
}

func personScope(c *cli.Context) error {
	cl, args, err := readyFor(c, "NAME")
	if err != nil {
		return err
	}
	scope := api.Scope{Sites: c.StringSlice("site"), Groups: c.StringSlice("group")}
	named := len(scope.Sites)+len(scope.Groups) > 0
	if named == c.Bool("everything") {
		return usagef(c, "Name a --site or a --group, or --everything to take the bounds away.")
	}
	raw, err := cl.send(c.Context, http.MethodPut, personPath(args[0], "/scope"), scope)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Person) {
		if words := boundsOf(v); words != "" {
			p.line("%s now sees and acts on devices of %s only.", v.Name, words)
			return
		}
		p.line("%s is bounded to nothing any more.", v.Name)
	})
}

func personErase(c *cli.Context) error {
	cl, args, err := readyFor(c, "NAME")
	if err != nil {
		return err
	}
	if !c.Bool("yes") {
		return usagef(c, "This can't be undone: the name, the address, every way to sign in and what the audit log says of the person are gone for good. Say --yes.")
	}
	raw, err := cl.send(c.Context, http.MethodPost, personPath(args[0], "/erase"), nil)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Person) {
		p.line("%s is erased: what is left is called %q (%s).", args[0], v.Name, v.ID)
	})
}
