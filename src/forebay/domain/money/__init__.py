"""Money: credits, what is held and charged of them, and the proof that the books are right.

    amounts         integers of micro-dollars, and the one formula of a charge
    digests         the hashes that chain transfers and seal rows
    transfers       a transfer and its entries, as values and as rows
    ledger          double entry: accounts, balances, posting, grants
    holds           credits set aside for a machine at its launch
    cycles          the deduction cycle: all that runs is charged, a chunk of teams at a time
    metering        segments of use, from start to end
    outlook         how a team stands, and how long its credits last
    credit_moves    credits from one team to another of the same owner
    transactions    a team's transfers as its people read them
    credit_control  which teams have run dry
    audit           everything above, checked from the records alone

Whoever calls owns the transaction. In it the team's account row is locked first, then its segments and holds, so that
launches, ends and cycles queue instead of deadlocking; several accounts are locked in the order of their ids.
"""
