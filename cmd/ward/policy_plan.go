package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newPlanCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "tell what publishing a file would change on the enrolled devices", ArgsUsage: "FILE", Action: policyPlan,
		Description: "Nothing is changed. With --detailed-exitcode the exit status is 0 where nothing would\n" +
			"change and 3 where something would, now or later, for a pipeline that asks a person\n" +
			"then. It is not 2, as of terraform plan: 2 means that the command was used wrongly, and\n" +
			"a pipeline that is broken must not read as a change.",
		Flags: remoteFlags(&cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit with 3 where something would change"}),
	}
}

// statusError ends the command with a status of its own.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

func policyPlan(c *cli.Context) error {
	d, err := readPolicy(c)
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/policy/plan", d)
	if err != nil {
		return err
	}
	var plan api.PolicyPlan
	if err := json.Unmarshal(raw, &plan); err != nil {
		return unexpected(err)
	}
	if err := answer(c, raw, printPlan); err != nil {
		return err
	}
	if c.Bool("detailed-exitcode") && plan.Changed > 0 {
		return &statusError{exitChanges, fmt.Sprintf("%d of %d devices would change.", plan.Changed, plan.Devices)}
	}
	return nil
}

func printPlan(p *printer, v api.PolicyPlan) {
	against := "no policy is in force yet"
	if v.Base > 0 {
		against = fmt.Sprintf("against generation %d", v.Base)
	}
	p.line("It would change %d of %d enrolled devices (%s).", v.Changed, v.Devices, against)
	for _, l := range v.Later {
		p.line("Of them %d only from %s on, when an exception begins or ends.", l.Devices, stamp(l.At))
	}
	switch {
	case v.SecondPerson && v.Together > v.Changed:
		p.line("With what was changed without a second person in the last 24 hours it is %d, so many that another person has to approve it.", v.Together)
	case v.SecondPerson:
		p.line("That is so many that another person has to approve it.")
	}
	for _, k := range v.Kinds {
		p.line("\n%s: %d", k.Kind, k.Devices)
		if len(k.Changes) == 0 {
			p.line("  Nothing changes.")
		}
		for _, c := range k.Changes {
			p.line("  %s %s %s", map[string]string{"added": "+", "removed": "-", "changed": "~"}[c.How], c.What, c.Name)
		}
		if len(k.Changes) > 0 {
			printShort(p, k.Limits)
		}
	}
	for _, list := range []struct {
		title string
		apps  []api.AppCount
	}{{"Apps that would no longer open", v.Vanish}, {"Blocked apps on devices that can't keep them from opening, which would comply no longer", v.Breach}} {
		if len(list.apps) > 0 {
			p.line("\n%s", list.title)
		}
		for _, a := range list.apps {
			p.line("  %s: on %d", a.Name, a.Devices)
		}
	}
	if v.Breaching > 0 {
		p.line("\n%d devices would comply no longer, %d of them because their system is too old.", v.Breaching, v.OldSystem)
	}
	if len(v.Warnings) > 0 {
		p.line("\nTo know")
	}
	for _, w := range v.Warnings {
		p.line("  %s", w)
	}
}

// printShort tells of what is not enforced only.
func printShort(p *printer, limits []api.Limit) {
	for _, l := range limits {
		if l.Verdict != "enforced" {
			p.line("    %s: %s", string(l.Verdict), l.Intent)
		}
	}
}
