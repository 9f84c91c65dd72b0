/*
 * orders.pml: the protocol of destructive orders, for Spin 6.
 *
 * Two copies of the server work on one database. People ask, sign, cancel and release;
 * one of them is a thief. Time passes, and copies crash. What must hold whatever they do:
 *
 *   P1  No erase reaches a device without two different people's yes to exactly its list,
 *       nor before the cooling-off is over.
 *   P2  The brake is never passed, and only two people, one of them not involved, end a hold.
 *   P3  An order that was cancelled before its delivery is never delivered.
 *   P4  An approved order is in the end delivered, cancelled or held (or, if somebody
 *       altered it in the database, reported): it is never forgotten.
 *
 * -DP1 -DP2 -DP3 -DP4 choose what is checked; without any, P1 to P3 are. P4 needs pan -a -f.
 * Each -DBREAK_... takes one rule away and makes a property fail. README.md explains the
 * model line by line; model_test.go runs all of it.
 */

#define MANY 255 /* without end */
#ifndef ORDERS
#define ORDERS 2   /* each for one device; 1 to 3 */
#endif
#ifndef LIMIT
#define LIMIT 1    /* deliveries within WINDOW */
#endif
#ifndef WINDOW
#define WINDOW 2   /* in ticks of the clock */
#endif
#ifndef CRASHES
#define CRASHES MANY /* of either copy, all told */
#endif
#ifndef TAMPERS
#define TAMPERS 1  /* what the thief changes in the database, past the engine */
#endif

#ifndef ACCOUNTS
#define ACCOUNTS 4 /* with 3, the thief has only one */
#endif
/* -DONE_ASKER: every order is asked for by Alice. -DROWS_ONLY: the thief edits no list. */

#if !defined(P1) && !defined(P2) && !defined(P3) && !defined(P4)
#define P1
#define P2
#define P3
#endif
#ifdef P1
#define CHECK1(x) assert(x)
#else
#define CHECK1(x) skip
#endif
#ifdef P2
#define CHECK2(x) assert(x)
#else
#define CHECK2(x) skip
#endif
#ifdef P3
#define CHECK3(x) assert(x)
#else
#define CHECK3(x) skip
#endif

#if ORDERS == 1
#define EACH(X) X(0)
#define ANY(X) (X(0))
#define SUM(X) (X(0))
#define DO_EACH(X) X(0)
#elif ORDERS == 2
#define EACH(X) X(0) X(1)
#define ANY(X) (X(0) || X(1))
#define SUM(X) (X(0) + X(1))
#define DO_EACH(X) X(0); X(1)
#else
#define EACH(X) X(0) X(1) X(2)
#define ANY(X) (X(0) || X(1) || X(2))
#define SUM(X) (X(0) + X(1) + X(2))
#define DO_EACH(X) X(0); X(1); X(2)
#endif

/* ---- the database ---------------------------------------------------------------- */

/* Accounts. The thief has two, of one subject: he is one person. */
#define ALICE  0
#define BOB    1
#define THIEF  2
#define SECOND 3

/* order.State */
#define NEW       0
#define REQUESTED 1
#define APPROVED  2
#define ISSUED    3
#define CANCELLED 4
#define WITHHELD  5
#define CLAIMED   6 /* BREAK_FORGET only */

/* command.State */
#define NONE    0 /* no row, or it was closed */
#define WAITING 1
#define SENT    2 /* handed out, not yet answered */
#define HELD    3
#define DONE    4

/* Tables that SQL can change. */
byte st[ORDERS];    /* where the order stands */
byte list[ORDERS];  /* its list of devices, which is also its hash: 1, or 2 once edited */
byte sig[ORDERS];   /* signatures: a bit for each account and list. Nobody can forge one */
byte row[ORDERS];   /* the command's row in the queue */
byte body[ORDERS];  /* and the list that it was compiled for */
byte forged[ORDERS];/* another row, put there by the thief: the list it carries, 0 for none */
bit owed[ORDERS];   /* a push is owed: the device will connect */

/* The journal, which SQL can't change unseen: each entry carries a MAC. */
byte by[ORDERS];        /* Requested: by whom */
byte approved[ORDERS];  /* Approved: the hash; 0 for none */
bit cooling[ORDERS];    /* Approved.Until is still ahead */
byte issued[ORDERS];    /* Issued: the hash of the body; 0 for none */
bit delivered[ORDERS];  /* Delivered */
bit cancelled[ORDERS];  /* Cancelled */
byte age[ORDERS];       /* ticks since Delivered; WINDOW once it no longer counts */
bit held;               /* Held, and not Released since */
byte involved;          /* Hold.Involved, a bit for each person */
byte yes;               /* who has signed the release order of this hold */

bit gate;               /* brake.CloseGate: whoever appends to the journal holds it */

/* The world. */
bit got[ORDERS];        /* the device has the command */
bit reported[ORDERS];   /* the order was found altered, and somebody was told */
byte crashes = CRASHES;
byte tampers = TAMPERS;

/* What is over and can't be read again is wiped, so that there are fewer states. A thief
 * at the database could read it again. */
#if TAMPERS == 0 && !defined(P1)
#define WIPE(i) sig[i] = 0; by[i] = 0; list[i] = 0; body[i] = 0; issued[i] = 0; approved[i] = 0
#else
#define WIPE(i) skip
#endif

/* ---- words ----------------------------------------------------------------------- */

#define BIT(a, l) (1 << ((a) * 2 + (l) - 1))
#define BOTH(a)   (3 << ((a) * 2))
#define SAID(i, a, l) ((sig[i] & BIT(a, l)) != 0)
#define ALICE_SAID(i, l) SAID(i, ALICE, l)
#define BOB_SAID(i, l)   SAID(i, BOB, l)
#define THIEF_SAID(i, l) (SAID(i, THIEF, l) || SAID(i, SECOND, l))

/* Two people, by subject, said yes to exactly this list: what must be so. */
#define TWO(i, l) (ALICE_SAID(i, l) + BOB_SAID(i, l) + THIEF_SAID(i, l) >= 2)

/* What the server believes about it: the same, unless it was broken. */
#if defined(BREAK_TWO)
#define SIGNED(i, l) (ALICE_SAID(i, l) + BOB_SAID(i, l) + SAID(i, THIEF, l) + SAID(i, SECOND, l) >= 2)
#elif defined(BREAK_LIST)
#define SIGNED(i, l) ((ALICE_SAID(i, 1) || ALICE_SAID(i, 2)) + (BOB_SAID(i, 1) || BOB_SAID(i, 2)) + (THIEF_SAID(i, 1) || THIEF_SAID(i, 2)) >= 2)
#else
#define SIGNED(i, l) TWO(i, l)
#endif

#ifdef BREAK_LIST
#define IS_APPROVED(i) (approved[i] != 0)
#else
#define IS_APPROVED(i) (approved[i] == list[i])
#endif

#ifdef BREAK_CANCEL
#define NOT_CANCELLED(i) true
#else
#define NOT_CANCELLED(i) (!cancelled[i])
#endif

/* order.Deliverable, up to the brake: may this body go out for this order? The order's
 * state is not asked: it stands in a table that SQL can change. */
#define GUARD(i, b) (SIGNED(i, list[i]) && IS_APPROVED(i) && issued[i] == (b) && NOT_CANCELLED(i))

/* brake: what the window holds. */
#define COUNTS(i) (delivered[i] && age[i] < WINDOW)
#define COUNT SUM(COUNTS)

/* The persons behind an order, a bit each. */
#define PERSONS(i) (by[i] | (((sig[i] & BOTH(ALICE)) != 0) << ALICE) | (((sig[i] & BOTH(BOB)) != 0) << BOB) | (((sig[i] & (BOTH(THIEF) | BOTH(SECOND))) != 0) << THIEF))

#define OPEN(i)     (row[i] == WAITING || row[i] == SENT)
#define SERVABLE(i) ((owed[i] && OPEN(i)) || forged[i] != 0)

/* order.Advance looks for what is due. */
#ifdef BREAK_COOLING
#define DUE(i) (st[i] == APPROVED)
#else
#define DUE(i) (st[i] == APPROVED && !cooling[i])
#endif
#ifdef BREAK_FORGET /* it marks what it took, and nobody looks again for what is marked */
#define TAKE(i) st[i] = CLAIMED
#define TAKEN(i) (st[i] == CLAIMED)
#else
#define TAKE(i) skip
#define TAKEN(i) DUE(i)
#endif

/* ---- a copy of the server -------------------------------------------------------- */

#define TAKE_DUE(i) :: atomic { DUE(i) -> o = i; TAKE(i); goto advance }
#define CONNECT(i)  :: atomic { SERVABLE(i) -> o = i; goto connected }
#define INVOLVE(i)  involved = involved | (COUNTS(i) -> PERSONS(i) : 0)

/* A crash loses what this copy had in memory, and rolls its open transaction back. */
#define CRASH(undo) :: d_step { crashes > 0 -> crashes = (crashes == MANY -> MANY : crashes - 1); undo; o = 0; b = 0; n = 0; own = 0; ok = 0 } goto idle

/* The row to hand out, and the guard's verdict on it. */
#define LOOK(undo) atomic { \
		if \
		:: owed[o] && OPEN(o) -> own = 1; b = body[o] \
		:: forged[o] != 0 -> b = forged[o] \
		:: else -> undo; goto done /* taken back, or fetched by way of the other copy */ \
		fi; \
		ok = GUARD(o, b) }

active [2] proctype Copy() {
	byte o;  /* the order in hand */
	byte b;  /* the body to hand out */
	byte n;  /* what the window held */
	bit own; /* it is the engine's own row */
	bit ok;  /* the guard's verdict so far */

idle:
end:
	do
	EACH(TAKE_DUE)
	EACH(CONNECT)
	od;

advance: /* order.Advance: one transaction for each order */
	if
	CRASH(skip)
	:: atomic { gate == 0 ->
		if
		:: !TAKEN(o) || cancelled[o] -> skip /* the other copy, or a cancel, was quicker */
		:: TAKEN(o) && !cancelled[o] && SIGNED(o, list[o]) && IS_APPROVED(o) ->
			st[o] = ISSUED;
			issued[o] = list[o];
			body[o] = list[o];
			row[o] = WAITING;
			owed[o] = 1
		:: else ->
			assert(tampers < TAMPERS);
			st[o] = WITHHELD;
			reported[o] = 1
		fi;
		o = 0; goto idle }
	fi;

connected: /* store.Commands.Next: one transaction, with order.Deliverable and brake.Take in it */
#ifdef BREAK_GATE
	LOOK(skip);
#endif
#ifdef BREAK_BRAKE
	n = COUNT;
#endif
	if
	CRASH(skip)
	:: d_step { gate == 0 -> gate = 1 }
	fi;
#ifndef BREAK_GATE
	LOOK(gate = 0);
#endif
#ifndef BREAK_BRAKE
	n = COUNT;
#endif
	if
	CRASH(gate = 0)
	:: atomic {
		gate = 0;
		if
		:: !ok && own -> /* withheld */
			assert(tampers < TAMPERS);
			row[o] = NONE;
			owed[o] = 0;
			reported[o] = 1;
			goto done
		:: !ok && !own ->
			forged[o] = 0;
			goto done
		:: ok && !delivered[o] && (held || n >= LIMIT) ->
			if
			:: held -> skip
			:: else ->
				held = 1;
				DO_EACH(INVOLVE);
				involved = involved | PERSONS(o)
			fi;
			if
			:: own -> row[o] = HELD; owed[o] = 0
			:: else -> forged[o] = 0
			fi;
			goto done
		:: else ->
			if
			:: delivered[o] -> skip /* the same again: counted once */
			:: else ->
				delivered[o] = 1;
				age[o] = 0;
				CHECK2(COUNT <= LIMIT)
			fi;
			if
			:: own -> row[o] = SENT
			:: else -> forged[o] = 0
			fi
		fi }
	fi;

	if /* the answer to the device's request: from here on it has the command */
	CRASH(skip)
	:: atomic {
		CHECK1(TWO(o, b));
		CHECK1(!cooling[o]);
		CHECK3(!cancelled[o]);
		got[o] = 1 }
	fi;

	if /* and the device's answer to the command; lost, it will be given the command again */
	CRASH(skip)
	:: atomic { gate == 0 ->
		if
		:: OPEN(o) -> row[o] = DONE; owed[o] = 0
		:: else -> skip
		fi }
	fi;
done:
	atomic { o = 0; b = 0; n = 0; own = 0; ok = 0; goto idle }
}

/* ---- people ---------------------------------------------------------------------- */

/* Each act is one transaction of whichever copy takes it. */
#define ASK(i, p) :: d_step { gate == 0 && st[i] == NEW && EARLIER(i) -> st[i] = REQUESTED; list[i] = 1; by[i] = 1 << p }

/* Orders are alike, so it is enough to number them as they are asked for. */
#define EARLIER(i) (i == 0 || st[i - (i > 0)] != NEW)

#define SIGN(i, a) :: d_step { gate == 0 && st[i] == REQUESTED && (sig[i] & BOTH(a)) == 0 -> \
		sig[i] = sig[i] | BIT(a, list[i]); \
		if :: SIGNED(i, list[i]) -> st[i] = APPROVED; approved[i] = list[i]; cooling[i] = 1 \
		   :: else -> skip \
		fi }

#define CANCEL(i) :: d_step { gate == 0 && st[i] >= REQUESTED && st[i] <= ISSUED && !delivered[i] -> \
		CHECK3(!got[i]); \
		cancelled[i] = 1; st[i] = CANCELLED; row[i] = NONE; owed[i] = 0; WIPE(i) }

#ifdef BREAK_RELEASE
#define OUTSIDE true
#else
#define OUTSIDE ((yes & ~involved) != 0)
#endif
#define PEOPLE(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1))
#ifdef BREAK_PUSH
#define OWE(i) skip
#else
#define OWE(i) owed[i] = 1
#endif
/* What came before a release no longer counts; what was held is offered again. */
#define UNHOLD(i) age[i] = WINDOW; \
		if :: row[i] == HELD -> row[i] = WAITING; OWE(i) :: else -> skip fi

#define RELEASE(p) :: d_step { gate == 0 && held && (yes & (1 << p)) == 0 -> \
		yes = yes | (1 << p); \
		if :: PEOPLE(yes) >= 2 && OUTSIDE -> \
			CHECK2((yes & ~involved) != 0); \
			held = 0; yes = 0; involved = 0; DO_EACH(UNHOLD) \
		   :: else -> skip \
		fi }

/* The thief at the database: he edits a list, or puts a row into the queue. */
#define EDIT(i)     :: d_step { tampers > 0 && list[i] != 0 -> tampers--; list[i] = 3 - list[i] }
#define FORGE(i, b) :: d_step { tampers > 0 && forged[i] == 0 -> tampers--; forged[i] = b }

#if ACCOUNTS > 3
#define SIGN2(i) SIGN(i, SECOND)
#else
#define SIGN2(i)
#endif
#if TAMPERS > 0 && defined(ROWS_ONLY) /* to repeat what was issued is the most that a row can do to the brake */
#define TAMPER(i) FORGE(i, 1)
#elif TAMPERS > 0
#define TAMPER(i) EDIT(i) FORGE(i, 1) FORGE(i, 2)
#else
#define TAMPER(i)
#endif

#ifdef ONE_ASKER /* who asked matters to P2 alone */
#define ASKS(i) ASK(i, ALICE)
#else
#define ASKS(i) ASK(i, ALICE) ASK(i, THIEF)
#endif

#define ACTS(i) ASKS(i) SIGN(i, ALICE) SIGN(i, BOB) SIGN(i, THIEF) SIGN2(i) CANCEL(i) TAMPER(i)

active proctype People() {
end:
	do
	EACH(ACTS)
	RELEASE(ALICE)
	RELEASE(BOB)
	RELEASE(THIEF)
	:: break /* nobody does anything more: the rest is up to the server */
	od
}

/* ---- time ------------------------------------------------------------------------ */

#define PASS(i) cooling[i] = 0; \
		if :: delivered[i] && age[i] < WINDOW -> age[i]++ :: else -> skip fi; \
		if :: row[i] == DONE && age[i] == WINDOW -> WIPE(i) :: else -> skip fi

active proctype Clock() {
	do
	:: d_step { true -> DO_EACH(PASS) }
	od
}

/* ---- P4 -------------------------------------------------------------------------- */

#define SETTLED(i)   (got[i] || cancelled[i] || (held && row[i] == HELD) || reported[i])
#define FORGOTTEN(i) (approved[i] != 0 && !SETTLED(i))

#ifdef P4
ltl p4 { <> [] !ANY(FORGOTTEN) }
#endif
