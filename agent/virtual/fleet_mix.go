package virtual

import (
	"fmt"

	"github.com/wardmdm/ward"
)

// kindOfDevice is one sort of device in a mixed fleet.
type kindOfDevice struct {
	platform   ward.Platform
	model, os  string
	supervised bool
	user       bool // user enrolment
	ownership  ward.Ownership
}

// mix is the sorts of devices of a hospital group: mostly supervised phones of the
// organisation, some old, some of the staff's own, a few tablets and Macs. It repeats
// itself after its length.
func mix() []kindOfDevice {
	const corporate, personal = ward.Corporate, ward.Personal
	return []kindOfDevice{
		{ward.IOS, "iPhone15,4", "18.6", true, false, corporate},
		{ward.IOS, "iPhone16,1", "26.1", true, false, corporate},
		{ward.IOS, "iPhone15,4", "18.6", false, false, personal},
		{ward.IOS, "iPhone17,3", "27.0", true, false, corporate},
		{ward.IOS, "iPad14,1", "18.4", true, false, corporate},
		{ward.IOS, "iPhone14,5", "17.7", true, false, corporate},
		{ward.IOS, "iPhone16,1", "26.1", false, true, personal},
		{ward.IOS, "iPhone13,2", "16.7", true, false, corporate},
		{ward.IOS, "iPhone12,1", "15.8", true, false, corporate},
		{ward.IOS, "iPhone14,5", "17.2", false, false, corporate},
		{ward.MacOS, "Mac15,12", "15.6", true, false, corporate},
		{ward.IOS, "iPhone17,3", "27.0", false, true, personal},
		{ward.IOS, "iPad14,1", "26.1", true, false, corporate},
		{ward.IOS, "iPhone10,6", "14.8", true, false, corporate},
		{ward.IOS, "iPhone17,3", "27.0", false, false, personal},
		{ward.MacOS, "Mac16,1", "26.1", true, false, corporate},
		{ward.IOS, "iPhone8,1", "13.7", false, false, corporate},
		{ward.IOS, "iPhone15,4", "18.1", true, false, corporate},
		{ward.MacOS, "Mac16,1", "27.0", true, false, corporate},
		{ward.IOS, "iPhone7,2", "12.5", true, false, corporate},
	}
}

// MixedFleet returns the options of n devices of many sorts: versions of iOS from 12 to
// 27 and of macOS, supervised or not, the organisation's and people's own, and user
// enrolment. What is set in base is kept, except UDID, Serial, Name and what makes the
// sort. The same n gives the same devices.
func MixedFleet(n int, base Options) []Options {
	sorts := mix()
	out := make([]Options, n)
	for i := range out {
		k, o := sorts[i%len(sorts)], base
		o.UDID = fmt.Sprintf("00008120-%016X", 0x4D0000+i)
		o.Serial = fmt.Sprintf("MIX%07d", i)
		o.Name = fmt.Sprintf("Device %d", i+1)
		o.Platform, o.Model, o.OSVersion, o.UserAgent = k.platform, k.model, k.os, ""
		o.Supervised, o.UserEnrolment, o.Ownership = k.supervised, k.user, k.ownership
		out[i] = o
	}
	return out
}
