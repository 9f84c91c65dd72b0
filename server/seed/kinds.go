package seed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/reconcile"
)

// kind is what devices of one sort have in common.
type kind struct {
	weight     int // of a hundred
	platform   ward.Platform
	ownership  ward.Ownership
	supervised ward.Supervision
	thing      string
	model      string
	systems    []string // versions, the first too old for the policy, the last the newest

	apps  []string // blocked ones that people can put on it, by their slugs
	share float64  // of the devices on which they can
}

// kinds are the sorts of devices, and what is wanted of each.
type kinds struct {
	all     []kind
	bundles map[ward.Platform]map[string]string // by the slug of a blocked app

	mu      sync.Mutex
	classes map[classKey]*class
}

type classKey struct {
	platform        ward.Platform
	ownership       ward.Ownership
	supervised      ward.Supervision
	os, group, site string
	role            string
}

// class is what is wanted of devices that get the same, with the steps that bring it.
type class struct {
	want profiles.State
	keys []string
	app  map[string]bool // those keys that are about an approved app
}

// find makes the kinds, and finds out which blocked apps can be on them.
func (k *kinds) find(o Options) error {
	phones, macs := []string{"17.7", "18.6", "26.0", "26.1"}, []string{"14.7", "15.6", "26.1"}
	k.all = []kind{
		{weight: 35, platform: ward.IOS, ownership: ward.Corporate, supervised: ward.Supervised, thing: "iPhone", model: "iPhone15,4", systems: phones},
		{weight: 30, platform: ward.IOS, ownership: ward.Corporate, supervised: ward.Unsupervised, thing: "iPhone", model: "iPhone14,7", systems: phones},
		{weight: 15, platform: ward.IOS, ownership: ward.Personal, supervised: ward.Unsupervised, thing: "iPhone", model: "iPhone17,3", systems: phones},
		{weight: 20, platform: ward.MacOS, ownership: ward.Corporate, supervised: ward.Supervised, thing: "Mac", model: "Mac15,12", systems: macs},
	}
	k.bundles, k.classes = map[ward.Platform]map[string]string{ward.IOS: {}, ward.MacOS: {}}, map[classKey]*class{}
	m := maker{Options: o}
	m.kinds.classes, m.kinds.bundles = k.classes, k.bundles
	share := 0
	for i := range k.all {
		x := &k.all[i]
		p := phone{kind: *x, Device: ward.Device{ID: "dev_x", Platform: x.platform, Ownership: x.ownership, State: ward.Managed, OSVersion: x.systems[1], Group: groupName(0), Site: siteName(0)}}
		p.enrolment = ward.Enrolment{ID: "enr_x", State: ward.EnrolmentActive, Kind: "Device", Enrolled: o.Now.Add(-30 * day), Rights: ward.RightsFor(x.ownership), Supervised: x.supervised}
		v := m.view(&p, o.Now)
		if a := compliance.Assess(v, o.Now); a.State != compliance.Compliant && a.State != compliance.Pending {
			return ward.Errorf(ward.Conflict, "Under the policy in force a made-up %s that does all it is asked is %s: %s Publish another one, or begin without.", x.thing, a.State, a.Reason())
		}
		for _, app := range v.Want.Blocked {
			for _, id := range app.Identifiers(x.platform) {
				k.bundles[x.platform][app.Slug] = id.ID
			}
			if k.bundles[x.platform][app.Slug] == "" {
				continue
			}
			p.episodes = []episode{{what: blocked, app: app.Slug, from: o.Now.Add(-day), to: o.Now.Add(day)}}
			if slices.ContainsFunc(m.view(&p, o.Now).Deviations(), func(d reconcile.Deviation) bool { return d.Kind == reconcile.BlockedApp }) {
				x.apps = append(x.apps, app.Slug)
			}
		}
		if len(x.apps) > 0 {
			share += x.weight
		}
	}
	for i := range k.all {
		x := &k.all[i]
		x.share = float64(share) / 100
		if popular := slices.DeleteFunc(slices.Clone(x.apps), func(s string) bool { return !slices.Contains(likely, s) }); len(popular) > 0 {
			x.apps = popular
		}
	}
	return nil
}

// likely are the apps that people put on, the likelier the more often.
var likely = []string{"whatsapp", "telegram", "signal", "facebook-messenger", "snapchat", "viber"}

// pick returns a kind by their weights.
func (k *kinds) pick(r *rand.Rand) kind {
	n := r.IntN(100)
	for _, x := range k.all {
		if n -= x.weight; n < 0 {
			return x
		}
	}
	return k.all[0]
}

// class returns what is wanted of a device.
func (k *kinds) class(o Options, v *reconcile.View) *class {
	d := v.Device
	key := classKey{d.Platform, d.Ownership, v.Enrolment.Supervised, d.OSVersion, d.Group, d.Site, d.Role}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.classes[key]
	if c != nil {
		return c
	}
	c = &class{app: map[string]bool{}}
	c.want = profiles.Desired(profiles.Subject{Device: d, Supervised: v.Enrolment.Supervised, Rights: v.Enrolment.Rights, Kind: v.Enrolment.Kind, OSVersion: d.OSVersion}, o.Policy, o.Now)
	probe := phone{Device: d, kind: kind{platform: d.Platform, supervised: v.Enrolment.Supervised}, enrolment: v.Enrolment}
	m, w := maker{Options: o}, *v
	w.Want = c.want
	c.keys = settledKeys(c.want, m.told(&probe, &w, o.Now, o.Now.Add(-time.Minute)), o.Now)
	for _, key := range c.keys {
		for _, a := range c.want.Apps {
			c.app[key] = c.app[key] || strings.HasPrefix(key, "app:"+a.BundleID) || strings.HasPrefix(key, "configure-app:"+a.BundleID)
		}
	}
	k.classes[key] = c
	return c
}

// names makes up people.
type names struct{ *rand.Rand }

func (n names) person() (first, last string) {
	return firstNames[n.IntN(len(firstNames))], lastNames[n.IntN(len(lastNames))]
}

func email(first, last string, i int) string {
	return strings.ToLower(fmt.Sprintf("%s.%s%d@trust.example", first, last, i+1))
}

// serial makes up a serial number that no other device has.
func serial(r *rand.Rand, taken map[string]bool) string {
	const letters = "CDFGHJKLMNPQRTVWXY0123456789"
	for {
		b := []byte("S0")
		for range 8 {
			b = append(b, letters[r.IntN(len(letters))])
		}
		if s := string(b); !taken[s] {
			taken[s] = true
			return s
		}
	}
}

func siteName(i int) string {
	if i < len(sites) {
		return sites[i]
	}
	return fmt.Sprintf("%s %d", sites[i%len(sites)], i/len(sites)+1)
}

func groupName(i int) string {
	return fmt.Sprintf("%s %d", wards[i%len(wards)], i/len(wards)+1)
}

var (
	sites      = []string{"Northgate Infirmary", "St Hild's Hospital", "Riverside General", "Westmoor Hospital", "Ashby Community Hospital", "Harbour Clinic", "Kingsmead Health Centre", "Elm Road Surgery", "Priory Day Unit", "Castle Street Clinic"}
	wards      = []string{"Acute Medicine", "Cardiology", "Care of the Elderly", "Children's Ward", "Community Nursing", "Critical Care", "Day Surgery", "Emergency Department", "Endoscopy", "Estates", "Haematology", "Maternity", "Oncology", "Orthopaedics", "Outpatients", "Pharmacy", "Physiotherapy", "Radiology", "Respiratory", "Stroke Unit"}
	roles      = []string{"nurse", "doctor", "midwife", "pharmacist", "porter", "radiographer", "manager", ""}
	firstNames = []string{"Alice", "Amir", "Bethan", "Callum", "Chidi", "Dylan", "Eilidh", "Farah", "Gareth", "Hannah", "Imran", "Jasmine", "Kofi", "Liam", "Megan", "Nadia", "Owen", "Priya", "Rhys", "Sian", "Tariq", "Una", "Victor", "Wen", "Yusuf", "Zoe"}
	lastNames  = []string{"Abara", "Ashworth", "Begum", "Cartwright", "Davies", "Eze", "Fairbairn", "Griffiths", "Hussain", "Iyer", "Jarvis", "Kowalski", "Lacey", "MacAulay", "Nwosu", "Okafor", "Pemberton", "Qureshi", "Rowntree", "Sandhu", "Thistlewood", "Underhill", "Venn", "Whitlock", "Yates"}
)
