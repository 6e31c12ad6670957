"""The tables of several catalogues, each cleaned by its own columns and rules, joined as domains of one."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from tailor import columns as c
from tailor.data.cleaning import CleanTables, RowRules, clean
from tailor.data.config import DataProcessingOptions, DomainOptions
from tailor.data.domains import SEPARATOR
from tailor.data.quality import QualityReport
from tailor.errors import BadInputError

log = logging.getLogger(__name__)
#: One table, or one for each domain.
RawTable = pd.DataFrame | Mapping[str, pd.DataFrame]


def clean_domains(
    raw: Mapping[str, RawTable],
    options: DataProcessingOptions,
    report: QualityReport,
    rules: RowRules | None = None,
) -> CleanTables:
    """Clean one catalogue, or each of several by its own columns and rules, and join these.

    Args:
        raw: tables interactions, items and users; each one table, or, with ``options.domains``, one for each domain.
        options: columns, cleaning, domains.
        report: where rows are counted, by domain.
        rules: of rows of people, who are known here by their joined ids; None: as they stand, all alike.

    Raises:
        BadInputError: see :func:`tailor.data.cleaning.clean`, with the domain's name before it; tables and
            ``data_processing.domains`` do not name the same domains; an item has no domain; or an id of a shared user
            opens with the name of a domain.
    """
    rules = rules or RowRules()
    if not options.domains:
        return _of_one(raw, options, report, rules)
    tables = _by_domain(raw, list(options.domains))
    cleaned = {name: _clean_domain(name, tables[name], options, report, rules) for name in options.domains}
    _refuse_ambiguous_users(cleaned, options.domains)
    joined = CleanTables(
        interactions=pd.concat([table.interactions for table in cleaned.values()], ignore_index=True),
        items=pd.concat([table.items for table in cleaned.values()], ignore_index=True),
        users=_join_users([table.users for table in cleaned.values()]),
    )
    pairs = joined.interactions[[c.USER, c.DOMAIN]].drop_duplicates()
    n_shared = pairs.loc[pairs.duplicated(c.USER), c.USER].nunique()
    log.info("%d domains joined: %s; %d users are in several", len(cleaned), ", ".join(cleaned), n_shared)
    return joined


def _of_one(
    raw: Mapping[str, RawTable], options: DataProcessingOptions, report: QualityReport, rules: RowRules
) -> CleanTables:
    one: dict[str, pd.DataFrame] = {}
    for table, rows in raw.items():
        if not isinstance(rows, pd.DataFrame):
            raise BadInputError(
                f"raw_{table} holds a table for each of {', '.join(rows)}, but data_processing.domains names none: say "
                "there what the columns of each are called."
            )
        one[table] = rows
    tables = clean(one, options.columns, options.cleaning, report, rules)
    if c.DOMAIN not in tables.items:
        return tables
    domain = tables.items[c.DOMAIN].astype("string").str.strip()
    missing = domain.isna() | (domain == "")
    if missing.any():
        raise BadInputError(
            f"raw_items column '{options.columns.items[c.DOMAIN]}' (mapped to 'domain') is empty for "
            f"{int(missing.sum())} items, first for '{tables.items.loc[missing, c.ITEM].iloc[0]}': fill it in."
        )
    return _with_domain(tables, domain.astype("str"))


def _by_domain(raw: Mapping[str, RawTable], names: list[str]) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the tables of each domain."""
    by_domain: dict[str, dict[str, pd.DataFrame]] = {name: {} for name in names}
    for table, rows in raw.items():
        there = {} if isinstance(rows, pd.DataFrame) else dict(rows)
        if sorted(there) != sorted(names):
            raise BadInputError(
                f"data_processing.domains names {', '.join(names)}, but raw_{table} of the catalog has "
                f"{', '.join(there) or 'a single table'}: make it a tailor.datasets.DomainsDataset with one dataset "
                "for each of them."
            )
        for name in names:
            by_domain[name][table] = there[name]
    return by_domain


def _clean_domain(
    name: str,
    raw: Mapping[str, pd.DataFrame],
    options: DataProcessingOptions,
    report: QualityReport,
    rules: RowRules,
) -> CleanTables:
    """Clean one of several catalogues; give its items, and unless they are shared its users, the name of the domain."""
    domain, of_domain = options.domains[name], QualityReport()
    if not domain.shared_users:
        rules = replace(rules, people=replace(rules.people, prefix=name + SEPARATOR))
    try:
        tables = clean(raw, domain.columns, domain.cleaning or options.cleaning, of_domain, rules)
    except BadInputError as problem:
        raise BadInputError(f"Domain '{name}': {problem}") from None
    report.join(name, of_domain)
    interactions, items = _with_names(tables.interactions, name), _with_names(tables.items, name)
    named = CleanTables(interactions, items, tables.users)
    return _with_domain(named, pd.Series(name, index=items.index, dtype="str"))


def _with_names(table: pd.DataFrame, domain: str) -> pd.DataFrame:
    """Write the name of the domain before the ids of items."""
    return table.assign(**{c.ITEM: domain + SEPARATOR + table[c.ITEM]})


def _with_domain(tables: CleanTables, domain: pd.Series) -> CleanTables:
    """Write the domain (n_items,) beside items and interactions."""
    items = tables.items.assign(**{c.DOMAIN: domain})
    of_rows = tables.interactions[c.ITEM].map(pd.Series(domain.to_numpy(), index=items[c.ITEM])).astype("str")
    return CleanTables(tables.interactions.assign(**{c.DOMAIN: of_rows}), items, tables.users)


def _refuse_ambiguous_users(cleaned: Mapping[str, CleanTables], domains: Mapping[str, DomainOptions]) -> None:
    """Refuse ids of shared users that a user of a single domain could have."""
    prefixes = tuple(name + SEPARATOR for name, domain in domains.items() if not domain.shared_users)
    for name, tables in cleaned.items():
        if domains[name].shared_users and prefixes:
            n_alike = int(tables.interactions[c.USER].str.startswith(prefixes).sum())
            if n_alike:
                raise BadInputError(
                    f"Domain '{name}': {n_alike} rows have a user_id that opens with {' or '.join(prefixes)}, as ids "
                    "of users of that domain alone do: call the domain otherwise in data_processing.domains."
                )


def _join_users(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return one row per user; of who is described in several domains the first cell that is filled counts."""
    return pd.concat(tables, ignore_index=True).groupby(c.USER, sort=False, as_index=False).first()
