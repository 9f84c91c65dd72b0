package web_test

import "github.com/wardmdm/ward/server/access"

// fleetSights are the pages of the overview and the lists of devices, as p sees them.
func (w *world) fleetSights(access.Person) []sight {
	return []sight{
		{name: "style", url: "/style"},
	}
}
