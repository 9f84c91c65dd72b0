package web

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/report"
)

// erased stands where a person was forgotten.
const erased = "(erased)"

// namer finds what ids are called, each once.
type namer struct {
	s       *Server
	devices map[ward.DeviceID]string
	people  map[ward.PersonID]string
}

func (s *Server) newNamer() *namer {
	return &namer{s, map[ward.DeviceID]string{}, map[ward.PersonID]string{}}
}

// device returns what a device is called, its id where it is not there any more.
func (n *namer) device(ctx context.Context, id ward.DeviceID) (string, error) {
	if name, ok := n.devices[id]; ok {
		return name, nil
	}
	d, err := n.s.Posture.Store.Device(ctx, id)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return "", err
	}
	name := string(id)
	if err == nil {
		name = nameOf(d)
	}
	n.devices[id] = name
	return name, nil
}

// person returns what a person is called, their id where they are not there any more.
func (n *namer) person(ctx context.Context, id ward.PersonID) (string, error) {
	if name, ok := n.people[id]; ok {
		return name, nil
	}
	p, err := n.s.Access.Person(ctx, id)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return "", err
	}
	n.people[id] = cmp.Or(p.Name, string(id))
	return n.people[id], nil
}

// actor says who did what an entry tells of.
func (n *namer) actor(ctx context.Context, e audit.Recorded) (report.Cell, error) {
	a := e.Actor
	switch {
	case e.ActorErased:
		return report.Cell{Text: erased}, nil
	case a.Person != "":
		text := a.Name
		if a.Via == ward.ViaToken {
			text += " (token)"
		}
		return report.Cell{Text: text, Href: addressWith("/audit", "who", string(a.Person))}, nil
	case a.Device != "":
		name, err := n.device(ctx, a.Device)
		return report.Cell{Text: name, Href: deviceAddress(a.Device)}, err
	}
	return report.Cell{Text: cmp.Or(a.Name, string(a.Via)), Href: addressWith("/audit", "who", a.Name)}, nil
}

// subject says what a deed was done to, with where it is shown.
func (n *namer) subject(ctx context.Context, e audit.Recorded) (report.Cell, error) {
	id := e.Subject
	area, _, _ := strings.Cut(e.Action, ".")
	switch {
	case e.SubjectErased:
		return report.Cell{Text: erased}, nil
	case id == "":
		return report.Cell{}, nil
	case strings.HasPrefix(id, "person-"):
		name, err := n.person(ctx, ward.PersonID(id))
		return report.Cell{Text: name, Href: addressWith("/audit", "subject", id)}, err
	case area == "order" || area == "orders":
		return report.Cell{Text: "Order " + reference(ward.CaseID(id)), Href: orderAddress(ward.OrderID(id))}, nil
	case area == "case" && !n.isDevice(ctx, id) || area == "location" && !n.isDevice(ctx, id):
		return report.Cell{Text: "Case " + reference(ward.CaseID(id)), Href: caseAddress(ward.CaseID(id))}, nil
	case area == "invitation":
		return report.Cell{Text: "Invitation", Href: "/enrolment/" + url.PathEscape(id)}, nil
	case n.isDevice(ctx, id):
		name, err := n.device(ctx, ward.DeviceID(id))
		return report.Cell{Text: name, Href: deviceAddress(ward.DeviceID(id))}, err
	}
	return report.Cell{Text: id, Href: addressWith("/audit", "subject", id)}, nil
}

// isDevice reports whether an id is that of a device that is known.
func (n *namer) isDevice(ctx context.Context, id string) bool {
	name, err := n.device(ctx, ward.DeviceID(id))
	return err == nil && name != id
}
