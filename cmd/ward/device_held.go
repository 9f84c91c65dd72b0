package main

import (
	"cmp"

	"github.com/wardmdm/ward/server/api"
)

// printHeld tells what the device has said that it holds of what management deals with.
func printHeld(p *printer, d api.DeviceDetail) {
	var rows [][]string
	for _, f := range d.Profiles {
		if f.Wanted || f.Managed {
			rows = append(rows, []string{"  profile", cmp.Or(f.Name, f.Identifier), held(f.Wanted, f.Installed)})
		}
	}
	for _, a := range d.Apps {
		words := held(a.Wanted, a.Installed)
		if a.Certificate != nil && a.Certificate.ValidUntil != nil {
			words += ", certificate until " + stamp(*a.Certificate.ValidUntil)
		} else if a.Certificate != nil && a.Certificate.Revoked != nil {
			words += ", certificate revoked at " + stamp(*a.Certificate.Revoked)
		}
		rows = append(rows, []string{"  app", a.Name, words})
	}
	for _, c := range d.Facts.Certificates {
		what := "certificate of an authority"
		if c.Identity {
			what = "identity"
		}
		rows = append(rows, []string{"  certificate", c.CommonName, what})
	}
	if len(rows) == 0 {
		return
	}
	p.line("\nOn the device, as it last told")
	p.table(nil, rows)
}

// held says of one thing whether it is where it should be.
func held(wanted bool, installed *bool) string {
	switch {
	case installed == nil:
		return "not known: it has not told"
	case wanted && *installed:
		return "installed"
	case wanted:
		return "not installed yet"
	case *installed:
		return "present, not wanted by the policy"
	}
	return "absent"
}
