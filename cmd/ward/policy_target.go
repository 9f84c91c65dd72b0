package main

import (
	"slices"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
)

// workstation is the word for a computer with Ward's agent; it stands for Windows.
const workstation = "workstation"

// targetFlags say which device is meant.
func targetFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "platform", Value: string(ward.IOS), Usage: "ios, macos, android, windows, linux, or workstation for windows"},
		&cli.StringFlag{Name: "os", Usage: "`VERSION` of its system, such as 18.6; less is promised where it is left out"},
		&cli.BoolFlag{Name: "supervised", Usage: "an Apple device that is supervised"},
		&cli.StringFlag{Name: "ownership", Usage: "corporate or personal; corporate if left out, unless --enrollment says otherwise"},
		&cli.StringFlag{Name: "enrollment", Usage: "user, device or ade of Apple; fully-managed, cope or work-profile of Android"},
		&cli.StringFlag{Name: "group", Usage: "`GROUP` of the device"},
		&cli.StringFlag{Name: "site", Usage: "`SITE` of the device"},
		&cli.StringFlag{Name: "role", Usage: "staff `ROLE` that it is meant for"},
	)
}

// subject is the device that the flags describe.
func subject(c *cli.Context) (profiles.Subject, error) {
	platform := ward.Platform(c.String("platform"))
	if platform == workstation {
		platform = ward.Windows
	}
	apple := platform == ward.IOS || platform == ward.MacOS
	if !apple && !slices.Contains([]ward.Platform{ward.Android, ward.Windows, ward.Linux}, platform) {
		return profiles.Subject{}, usagef(c, "--platform is ios, macos, android, windows, linux or workstation, not %q.", string(platform))
	}
	s := profiles.Subject{Supervised: ward.Unsupervised, Kind: "Device", OSVersion: c.String("os"), Device: ward.Device{
		Platform: platform, OSVersion: c.String("os"), Ownership: ward.Corporate, Group: c.String("group"), Site: c.String("site"), Role: c.String("role"),
	}}
	if v := c.String("os"); v != "" && !intent.ParseVersion(v).Known() {
		return s, usagef(c, "--os must be a version such as 18 or 18.6, not %q.", v)
	}
	switch e := intent.Enrolment(c.String("enrollment")); {
	case e == "":
	case apple && e == intent.ByDevice:
	case apple && e == intent.ByAutomation:
		s.Supervised = ward.Supervised // devices that Apple's automated enrolment sets up always are
	case apple && e == intent.ByUser:
		s.Kind, s.Device.Ownership = "User Enrollment (Device)", ward.Personal
	case platform == ward.Android && (e == intent.FullyManaged || e == intent.CompanyOwned):
		s.Kind = string(e)
	case platform == ward.Android && e == intent.WorkProfile:
		s.Kind, s.Device.Ownership = string(e), ward.Personal
	default:
		return s, usagef(c, "A device of the platform %s has no enrolment of the kind %q.", string(platform), string(e))
	}
	if c.Bool("supervised") {
		if !apple || c.String("enrollment") == string(intent.ByUser) {
			return s, usagef(c, "Only an Apple device is supervised, and none that a person enrolled as their own.")
		}
		s.Supervised = ward.Supervised
	}
	if o := ward.Ownership(c.String("ownership")); o != "" {
		if !o.Valid() {
			return s, usagef(c, "--ownership is corporate or personal, not %q.", string(o))
		}
		s.Device.Ownership = o
	}
	return s, nil
}
