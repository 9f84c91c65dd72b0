package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

// maxNamed is how many words a list of devices may have, so that nobody has the server look
// for ever.
const maxNamed = 6000

// blast is what an order would reach.
type blast struct {
	Number   int
	Names    []string // the first of them
	More     int
	Sites    []siteCount
	InUse    []string // seen within the hour
	InUseN   int
	Personal []string // left out, for a personal device is never reached by such an order
	Away     []string // left out, for they are not enrolled
	Room     string
	TooMany  string // why it can't be asked for; empty if it can
	reached  []ward.DeviceID
}

type siteCount struct {
	Name  string
	Count int
}

// namesShown is how many names a list of the preview has.
const namesShown = 20

// blast looks up what the words name, one on each line or between commas, and says what an
// order for them would reach.
func (s *Server) blast(ctx context.Context, q order.Request, words string) (*blast, error) {
	names := strings.FieldsFunc(words, func(r rune) bool { return r == '\n' || r == '\r' || r == ',' || r == ';' })
	if len(names) > maxNamed {
		return nil, ward.Errorf(ward.Invalid, "The list has %d lines: it may have %d.", len(names), maxNamed)
	}
	b, sites := &blast{}, map[string]int{}
	var unknown []string
	for _, word := range names {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		d, err := s.Posture.Find(ctx, word)
		if k := ward.KindOf(err); k == ward.NotFound || k == ward.Conflict {
			unknown = append(unknown, message(err))
			continue
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(b.reached, d.ID) {
			continue
		}
		if err := s.reach(ctx, b, sites, q, d); err != nil {
			return nil, err
		}
	}
	if len(unknown) > 0 {
		return nil, &ward.Error{Kind: ward.Invalid, Message: "Some of these are no devices.", Details: unknown[:min(len(unknown), namesShown)]}
	}
	if b.Number = len(b.reached); b.Number == 0 && len(b.Personal)+len(b.Away) == 0 {
		return nil, ward.Errorf(ward.Invalid, "Name at least one device.")
	}
	b.More = b.Number - len(b.Names)
	for _, name := range slices.SortedFunc(maps.Keys(sites), func(x, y string) int { return cmp.Or(sites[y]-sites[x], strings.Compare(x, y)) }) {
		b.Sites = append(b.Sites, siteCount{cmp.Or(name, "No site"), sites[name]})
	}
	b.limits(s, q)
	return b, s.room(ctx, b, q, sites)
}

// reach adds one device to what is reached, or to what is left out.
func (s *Server) reach(ctx context.Context, b *blast, sites map[string]int, q order.Request, d ward.Device) error {
	if d.Ownership != ward.Corporate && q.Kind != order.RemoveManagement {
		b.Personal = append(b.Personal, nameOf(d))
		return nil
	}
	e, err := s.Posture.Store.Current(ctx, d.ID)
	if ward.KindOf(err) == ward.NotFound || err == nil && e.State != ward.EnrolmentActive {
		b.Away = append(b.Away, nameOf(d))
		return nil
	}
	if err != nil {
		return err
	}
	b.reached = append(b.reached, d.ID)
	sites[d.Site]++
	if len(b.Names) < namesShown {
		b.Names = append(b.Names, nameOf(d))
	}
	if s.Now().Sub(e.LastSeen) < s.Orders.SeenWithin {
		b.InUseN++
		if len(b.InUse) < namesShown {
			b.InUse = append(b.InUse, nameOf(d))
		}
	}
	return nil
}

// limits says whether the order may name so many.
func (b *blast) limits(s *Server, q order.Request) {
	most, what := s.Orders.MaxDevices, "One order"
	if q.Options.Campaign != nil {
		most, what = s.Orders.MaxCampaign, "A campaign"
	}
	switch {
	case b.Number == 0:
		b.TooMany = "No device is left that this order could reach."
	case b.Number > most:
		b.TooMany = fmt.Sprintf("%s may name %d devices at most, and this names %d. For a planned refresh ask for a campaign.", what, most, b.Number)
	}
}

// room says how many of them the brake would let through now.
func (s *Server) room(ctx context.Context, b *blast, q order.Request, sites map[string]int) error {
	if q.Options.Drill || q.Options.Campaign != nil {
		return nil
	}
	left := math.MaxInt
	for site := range sites {
		n, err := s.Brake.Room(ctx, brake.Kind(q.Kind), site)
		if err != nil {
			return err
		}
		left = min(left, n)
	}
	b.Room = roomWords(left)
	return nil
}
