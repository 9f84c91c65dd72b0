package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/policy"
)

// atOnce is how many phones act at the same time.
const atOnce = 16

// enrol has each phone open its own invitation link.
func (s *story) enrol(ctx context.Context) error {
	return s.step("1. iPhones enrol, each by its own link", s.n, func(seen map[string]any) error {
		err := s.fleet.Each(ctx, atOnce, func(ctx context.Context, i int, p *virtual.Phone) error {
			defer s.out.part()
			link, err := s.invite(ctx, i, fmt.Sprintf("Staff %d", i+1))
			if err != nil {
				return err
			}
			if err := p.Enrol(ctx, link); err != nil {
				return fmt.Errorf("phone %s: %w", p.Serial(), err)
			}
			want := ward.RightsFor(ward.Ownership(ownership(i)))
			if got := p.AccessRights(); !p.Enrolled() || got != want {
				return fmt.Errorf("phone %s: enrolled %v with rights %d, want %d", p.Serial(), p.Enrolled(), got, want)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range s.fleet.Phones() {
			s.turnOn(p)
		}
		for kind, name := range kindNames {
			n := 0
			for i := range s.n {
				if kindOf(i) == kind {
					n++
				}
			}
			seen[name] = n
			s.out.said("%d %s", n, name)
		}
		return nil
	})
}

func (s *story) invite(ctx context.Context, i int, name string) (string, error) {
	var inv struct {
		URL string `json:"url"`
	}
	err := call(ctx, s.desk, http.MethodPost, "/invitations", map[string]any{
		"name": name, "email": fmt.Sprintf("staff%d@hospital.example", i+1), "ownership": ownership(i), "group": fmt.Sprintf("Ward %d", i/6+1),
		"device_name": fmt.Sprintf("iPhone %d", i+1), "platform": "ios",
	}, &inv)
	return inv.URL, err
}

// findOut waits until the server knows from the phones which of them have WhatsApp.
func (s *story) findOut(ctx context.Context) error {
	return s.step("2. The server finds WhatsApp from the phones", s.n, func(seen map[string]any) error {
		var found atomic.Int64
		err := s.fleet.Each(ctx, atOnce, func(ctx context.Context, _ int, p *virtual.Phone) error {
			defer s.out.part()
			has, _ := p.AppInstalled(whatsApp)
			d, err := s.awaitDevice(ctx, p, "its apps and its supervision", func(d device) bool {
				return d.Supervised != nil && *d.Supervised == p.Supervised() && d.has(whatsApp) == has && asked(p, "InstalledApplicationList")
			})
			if err == nil && d.has(whatsApp) {
				found.Add(1)
			}
			return err
		})
		seen["with_whatsapp"] = found.Load()
		s.out.said("WhatsApp is on %d of %d", found.Load(), s.n)
		return err
	})
}

// asked reports whether the phone was asked with this command and answered.
func asked(p *virtual.Phone, requestType string) bool { return count(p, requestType) > 0 }

func count(p *virtual.Phone, requestType string) (n int) {
	for _, e := range p.Log() {
		if e.RequestType == requestType {
			n++
		}
	}
	return n
}

// publish publishes the messaging policy and asks the phones what became of it.
func (s *story) publish(ctx context.Context) error {
	return s.step("3. The messaging policy reaches the phones", s.n, func(seen map[string]any) error {
		if err := s.publishPolicy(ctx, profiles.ExamplePolicy(), seen); err != nil {
			return err
		}
		var blocked, launches atomic.Int64
		err := s.fleet.Each(ctx, atOnce, func(ctx context.Context, i int, p *virtual.Phone) error {
			defer s.out.part()
			if err := await(ctx, p, "the messaging profile", func(p *virtual.Phone) bool { return p.ProfileInstalled(profiles.MessagingProfile) }); err != nil {
				return err
			}
			if v, ok := p.Restriction("allowOpenFromManagedToUnmanaged"); !ok || v != false {
				return fmt.Errorf("phone %s: documents may leave managed apps", p.Serial())
			}
			if !hasWhatsApp(i) {
				return nil
			}
			err := p.CanLaunch(whatsApp)
			switch {
			case p.Supervised() && !errors.Is(err, virtual.ErrBlocked):
				return fmt.Errorf("phone %s is supervised, and WhatsApp: %w", p.Serial(), orNothing(err))
			case p.Supervised():
				blocked.Add(1)
			case err != nil:
				return fmt.Errorf("phone %s is not supervised, yet WhatsApp does not launch: %w", p.Serial(), err)
			default:
				launches.Add(1)
			}
			return nil
		})
		if err != nil {
			return err
		}
		seen["blocked"], seen["still_launches"] = blocked.Load(), launches.Load()
		s.out.said("WhatsApp no longer launches on %d supervised phones; on %d others it does, and Ward says why:", blocked.Load(), launches.Load())
		return s.sayWhy(ctx, seen)
	})
}

// publishPolicy publishes a policy; one that changes many phones is proposed by Alex and
// approved by Priya.
func (s *story) publishPolicy(ctx context.Context, text []byte, seen map[string]any) error {
	raw, err := s.desk.do(ctx, request{method: http.MethodPut, path: "/policy", contentType: "application/yaml", body: bytes.NewReader(text)})
	if err != nil {
		return err
	}
	var v api.Policy
	if err := json.Unmarshal(raw, &v); err != nil {
		return unexpected(err)
	}
	if v.State != policy.Proposed {
		return nil
	}
	address, body := versionPath(strconv.FormatInt(v.Generation, 10), "/approve"), map[string]string{"digest": v.Digest}
	if _, err := s.desk2.send(ctx, http.MethodPost, address, body); err == nil {
		return errors.New("the person who proposed the policy approved it alone")
	}
	if _, err := s.onCall.send(ctx, http.MethodPost, address, body); err != nil {
		return err
	}
	seen["approved_by_second_person"] = true
	s.out.said("it changes so many phones that a second person approved it")
	return nil
}

// sayWhy has the server say in words what it can't enforce on an unsupervised phone.
func (s *story) sayWhy(ctx context.Context, seen map[string]any) error {
	d, err := s.device(ctx, s.fleet.Phones()[corporatePhone])
	if err != nil {
		return err
	}
	for _, l := range d.Limits {
		if l.Verdict != "enforced" && l.Why != "" {
			seen["why"] = l.Why
			s.out.said("  %s: %s. %s %s", l.Intent, l.Verdict, l.Why, l.Cure)
			return nil
		}
	}
	return errors.New("the server does not say what it can't enforce")
}

// provision opens the approved app on every phone: it exchanges its token for a
// certificate and calls home with it.
func (s *story) provision(ctx context.Context) error {
	return s.step("4. The approved app gets its certificate and calls home", s.n, func(seen map[string]any) error {
		err := s.fleet.Each(ctx, atOnce, func(ctx context.Context, _ int, p *virtual.Phone) error {
			defer s.out.part()
			if err := await(ctx, p, "the approved app", func(p *virtual.Phone) bool {
				config, ok := p.ManagedConfig(messenger)
				return ok && config["enrolment_token"] != nil && p.CanLaunch(messenger) == nil
			}); err != nil {
				return err
			}
			app, err := p.Open(messenger)
			if err != nil {
				return err
			}
			if err := app.Exchange(ctx); err != nil {
				return fmt.Errorf("phone %s: exchange the token: %w", p.Serial(), err)
			}
			if _, err := app.Me(ctx); err != nil {
				return fmt.Errorf("phone %s: call home: %w", p.Serial(), err)
			}
			s.mu.Lock()
			s.apps[p] = app
			s.mu.Unlock()
			return nil
		})
		seen["apps_with_certificate"] = len(s.apps)
		s.out.said("%d apps made a call with a client certificate of their own", len(s.apps))
		return err
	})
}
