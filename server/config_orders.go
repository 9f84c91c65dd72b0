package server

import (
	"time"

	"github.com/wardmdm/ward/server/brake"
)

// Brake bounds how fast devices may be locked, reported lost and taken out of use. It stands
// in this file alone: nobody changes it by an account or through the database.
type Brake struct {
	PerPerson        int     `yaml:"per_person_an_hour"`
	Installation     int     `yaml:"installation_an_hour"`
	Erase            Windows `yaml:"erase"`
	ClearPasscode    Windows `yaml:"clear_passcode"`
	RemoveManagement Windows `yaml:"remove_management"`
	LockPIN          Windows `yaml:"lock_pin"`
}

// Windows bound one kind of order. A number for a site that is 0 is the whole's.
type Windows struct {
	Hour     int     `yaml:"an_hour"`
	Day      int     `yaml:"a_day"`
	Share    float64 `yaml:"share_a_day"`
	SiteHour int     `yaml:"per_site_an_hour"`
	SiteDay  int     `yaml:"per_site_a_day"`
}

// Orders says how an order runs.
type Orders struct {
	MaxDevices  int `yaml:"max_devices"`
	Lifetime    int `yaml:"wait_hours"`
	Cooling     int `yaml:"cooling_minutes"`
	SeenWithin  int `yaml:"seen_minutes"`
	CampaignMax int `yaml:"campaign_max_devices"`
}

func defaultBrake() Brake {
	return Brake{
		PerPerson: 10, Installation: 50,
		Erase:            Windows{Hour: 3, Day: 10, Share: 0.01},
		ClearPasscode:    Windows{Hour: 5, Day: 20},
		RemoveManagement: Windows{Hour: 20, Day: 50, Share: 0.05},
		LockPIN:          Windows{Hour: 5, Day: 20},
	}
}

func defaultOrders() Orders {
	return Orders{MaxDevices: 10, Lifetime: 24, Cooling: 10, SeenWithin: 60, CampaignMax: 5000}
}

func (b *Brake) mistakes(bad func(field, format string, args ...any)) {
	for field, n := range map[string]int{"brake.per_person_an_hour": b.PerPerson, "brake.installation_an_hour": b.Installation} {
		if n < 1 {
			bad(field, "%d is not a number above 0", n)
		}
	}
	if b.Installation > 0 && b.PerPerson > b.Installation {
		bad("brake.per_person_an_hour", "%d is more than everybody together may, %d", b.PerPerson, b.Installation)
	}
	for field, w := range map[string]Windows{"erase": b.Erase, "clear_passcode": b.ClearPasscode, "remove_management": b.RemoveManagement, "lock_pin": b.LockPIN} {
		field = "brake." + field
		if w.Hour < 1 {
			bad(field+".an_hour", "%d is not a number above 0: what must never happen is not ordered", w.Hour)
		}
		if w.Day < w.Hour {
			bad(field+".a_day", "%d is less than what an hour allows, %d", w.Day, w.Hour)
		}
		if w.Share < 0 || w.Share > 0.2 {
			bad(field+".share_a_day", "%g is not a share of the devices from 0 to 0.2", w.Share)
		}
		if w.SiteHour > w.Hour || w.SiteDay > max(w.Day, w.SiteHour) && w.Share == 0 {
			bad(field, "a site may have no more than everywhere together: %d an hour, %d a day", w.Hour, w.Day)
		}
		if w.SiteHour < 0 || w.SiteDay < 0 {
			bad(field, "a number for a site can't be negative; 0 is as many as everywhere")
		}
	}
}

func (o *Orders) mistakes(bad func(field, format string, args ...any)) {
	for _, f := range []struct {
		field     string
		n         int
		low, high int
	}{
		{"orders.max_devices", o.MaxDevices, 1, 100},
		{"orders.wait_hours", o.Lifetime, 1, 24 * 14},
		{"orders.cooling_minutes", o.Cooling, 1, 24 * 60},
		{"orders.seen_minutes", o.SeenWithin, 1, 24 * 60},
		{"orders.campaign_max_devices", o.CampaignMax, 1, 20000},
	} {
		if f.n < f.low || f.n > f.high {
			bad(f.field, "%d is not from %d to %d", f.n, f.low, f.high)
		}
	}
	if o.CampaignMax < o.MaxDevices {
		bad("orders.campaign_max_devices", "%d is less than an ordinary order may name, %d", o.CampaignMax, o.MaxDevices)
	}
}

// How many recovery codes may be made in an hour, by everybody and by one person: enough for a
// day on which a hospital enrols its phones, too few to report them all.
const (
	codesAnHour = 500
	codesByOne  = 100
)

// lossesADay is the share of the devices that may be locked or reported lost in a day where it
// is more than four times what an hour allows.
const lossesADay = 0.05

// limits are the windows that the brake knows.
func (b *Brake) limits() map[brake.Kind][]brake.Limit {
	of := func(w Windows) []brake.Limit {
		return []brake.Limit{
			{Window: time.Hour, Most: w.Hour, PerSite: w.SiteHour},
			{Window: 24 * time.Hour, Most: w.Day, Share: w.Share, PerSite: w.SiteDay},
		}
	}
	one := []brake.Limit{
		{Window: time.Hour, Most: b.Installation, PerPerson: b.PerPerson},
		{Window: 24 * time.Hour, Most: 4 * b.Installation, Share: lossesADay, PerPerson: 5 * b.PerPerson},
	}
	return map[brake.Kind][]brake.Limit{
		brake.Erase: of(b.Erase), brake.ClearPasscode: of(b.ClearPasscode), brake.RemoveManagement: of(b.RemoveManagement), brake.LockPIN: of(b.LockPIN),
		brake.Lock: one, brake.Report: one, brake.Revoke: one,
		brake.MakeCode: {{Window: time.Hour, Most: codesAnHour, PerPerson: codesByOne}},
	}
}
