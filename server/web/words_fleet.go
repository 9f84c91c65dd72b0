package web

import (
	"strings"

	"github.com/wardmdm/ward/server/estate"
)

// lang is the language of the texts that people read.
const lang = "en-GB"

// What people read above lists of devices.
const (
	textPast     = "What was known then, with the names of now. Nothing can be done from here."
	textToNow    = "Show it as it is now"
	textBlocked  = "A blocked app is on it"
	textEnrolled = "Enrolled"
	textAsked    = "%s asked for news. What they answer shows here, as each is next awake."
)

// What people read on the overview.
const (
	textCompliance    = "Compliance"
	textOfDevices     = "of %s devices"
	textShareOf       = "compliant, %s of %s devices"
	textBlockedTile   = "Blocked apps present"
	textDevices       = "devices"
	textMoreApps      = "and %d other apps"
	textNoRemoval     = "None was removed in the last 30 days"
	textFewRemovals   = "Too few were removed in 30 days to tell how long that took"
	textRemoval       = "Removed after %s, the slowest 5 %% after %s (30 days)"
	textApprovedTile  = "Approved app ready"
	textReadyOf       = "installed with what it needs, %s of %s"
	textNotReady      = "Not ready"
	textLostTile      = "Lost and pending"
	textLostDevices   = "lost or stolen"
	textOldestLost    = "The longest is gone for %s"
	textPending       = "Pending"
	textOldestPending = "The longest waits for %s"
	textUnseenTile    = "Not seen"
	textForWeek       = "for 7 days or more"
	textForMonth      = "For 30 days or more"
	textOldTile       = "System below the minimum"
	textOrdersTile    = "Orders"
	textOrders        = "wait for signatures"
	textExpiryTile    = "Certificates and tokens"
	textEndSoon       = "end within 30 days"
	textRenew         = "Renew"
	textEnded         = "has ended"
	textEndsIn        = "ends in %s"
	textAuditTile     = "Audit log verified"
	textNotVerified   = "Not verified yet"
	textVerifiedLate  = "Verify it"
	textNotIntact     = "Not as it was written"
	textRenewsItself  = "%s: %s, renews by itself"
	textIntact        = "Intact"
	textEntries       = "%s entries"
	textSeeAll        = "See all %s devices that need somebody"
	textNoTrend       = "A trend is kept of all devices, and by site, ward, platform or ownership; not of this filter."
	textBounds        = "You see devices of %s only, and there is none. Whoever gave you the account can change what you see."
	textRange         = "%s to %s of %s"
	textYoung         = "The trends begin with the first midnight that Ward has seen. Nothing is kept of the days before this one."
)

// What people read about saved views.
const (
	textViews       = "Filters of devices under names"
	textNoView      = "No view is saved yet"
	textMakeView    = "Choose a filter in the list of devices, then “Views” and “Save this filter”."
	textViewName    = "Such as: Theatres, not seen for a week"
	textViewSaved   = "The view “%s” is saved."
	textViewRemoved = "The view “%s” is removed."
	textStaleView   = "a filter that can’t be read any more"
)

// findingName is a finding in a few words.
func findingName(code string) string {
	text, _ := estate.Words(code, "")
	return strings.TrimSuffix(text, ".")
}

func approvedName(v string) string {
	if v == "ready" {
		return "Approved app ready"
	}
	return "Approved app not ready"
}

func daysName(n string) string {
	if n == "1" {
		return "1 day"
	}
	return n + " days"
}

func osName(v string) string {
	if v == "old" {
		return "Below the minimum"
	}
	return v
}
