// Package agent is the device side of Apple's MDM protocol: it enrols from an
// invitation link, keeps the device's key and certificate, checks in, fetches and
// answers commands, carries the messages of declarative management and wakes on push.
// What a command or a declaration does is the business of the Handler it is given.
//
// It will not enforce anything by itself, keeps no record of the past, and shares no
// code with the server: what arrives from the network is treated as hostile until it
// has been parsed.
//
// Sources: Apple, "Device Management" (developer.apple.com/documentation/devicemanagement),
// and RFC 8894 for SCEP.
package agent
