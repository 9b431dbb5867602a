"""What shops call their columns, kinds and states, and the lines of their orders that are no product."""

from __future__ import annotations

import re
from typing import Final

# What shops call a column, letters and digits only; the earlier name is the better match.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "interaction_id": ("interactionid", "eventid", "lineid", "orderlineid", "orderitemid", "lineitemid"),
    "order_id": ("orderid", "invoiceno", "invoice", "invoiceid", "invoicenumber", "orderno", "ordernumber",
        "transactionid", "basketid", "receiptno", "receiptid", "nrcomanda", "comanda", "numarcomanda", "pedido",
        "bestellnummer", "bestellnr", "belegnr", "belegnummer", "rechnungsnr", "rechnungsnummer", "numeropedido",
        "nrfactura", "incrementid", "idorder", "idcommande", "numerocommande", "commande",
        "order", "receipt", "invoicenr", "bonnr"),
    "item_id": ("itemid", "stockcode", "sku", "lineitemsku", "productid", "productcode", "articleid", "articleno",
        "artikelnummer", "artikelnr", "artnr", "idproduct", "idproduit", "customlabel", "listingid",
        "codprodus", "codarticol", "referencia", "contentid", "ean", "upc", "gtin",
        "asin", "parentasin", "movieid", "item", "product"),
    "customer_id": ("customerid", "userid", "clientid", "customerno", "customernumber", "memberid", "visitorid",
        "householdid", "cardid", "kundennummer", "kundennr", "kundenr", "kdnr",
        "codclient", "loyaltycard", "loyaltyid", "customeruser",
        "billingemail", "buyerid", "buyeremail", "buyerusername",
        "idclient", "idcustomer", "customeremail", "email", "customer", "user", "buyer", "client"),
    "occurred_at": ("occurredat", "invoicedate", "orderdate", "datetime", "timestamp", "eventtime", "createdat",
        "purchasedate", "transactiondate", "orderdatetime", "paidat", "soldat", "date", "data", "datum", "datacomenzii",
        "bestelldatum", "belegdatum", "rechnungsdatum", "dataencomenda", "orderplaced", "time", "ts", "tdat",
        "saledate", "dateadd",
        "datecommande", "created"),
    "quantity": ("quantity", "qty", "lineitemquantity", "quantitypurchased", "quantityordered", "qtyordered", "qtysold",
        "units", "pieces", "pcs", "cantitate", "menge", "anzahl", "productquantity", "quantite", "quantidade"),
    "time_of_day": ("timeofday", "ordertime", "transactiontime", "saletime", "time", "ora", "uhrzeit", "hora"),
    "price": ("unitprice", "price", "lineitemprice", "itemprice", "itemcost", "einzelpreis", "stueckpreis", "pret",
        "pretunitar", "preis", "preco", "productprice", "prixunitaire", "prix"),
    "total": ("value", "linetotal", "orderlinetotal", "itemtotal", "gesamtpreis", "zeilensumme", "totalprice",
        "salesvalue", "netsales", "rowtotal", "linesubtotal", "grosssales",
        "totalvalue", "amount", "total", "revenue", "valoare"),
    "kind": ("kind", "eventtype", "event", "eventname", "action", "interactiontype", "transactiontype",
        "linetype", "saletype", "type"),
    "title": ("title", "productname", "itemname", "lineitemname", "description", "name", "denumire", "bezeichnung",
        "productdescription", "artikelbezeichnung", "artikel", "designation", "libelle",
        "produs", "produto", "product", "item"),
    "categories": ("categories", "category", "productcategory", "categorycode", "productgroupname", "department",
        "categorie", "kategorie", "genres"),
    "brand": ("brand", "manufacturer", "vendor", "marca", "marke"),
    "currency": ("currency", "moneda", "waehrung"),
    "status": ("status", "orderstatus", "financialstatus", "state", "orderstate", "stare", "bestellstatus"),
    "segment": ("segment", "customersegment"),
    "stars": ("stars", "rating"),
    "channel": ("channel", "salchannel"),
}  # fmt: skip
KINDS: Final = {
    "transaction": "purchase", "order": "purchase", "buy": "purchase", "sale": "purchase",
    "payment": "purchase", "purchased": "purchase",
    "cart": "add_to_cart", "addtocart": "add_to_cart", "removefromcart": "remove_from_cart", "viewitem": "view",
    "pageview": "view", "detailview": "view", "like": "wishlist", "rating": "review", "return": "return",
}  # fmt: skip
SERVICE: Final = ("POST", "POSTAGE", "DOT", "SHIPPING", "DELIVERY", "TRANSPORT", "M", "MANUAL", "D", "DISCOUNT", "S",
                   "SAMPLES", "B", "C2", "BANK CHARGES", "AMAZONFEE", "CRUK", "FEE", "ADJUST", "GIFT CARD")  # fmt: skip
SERVICE_TITLE: Final = re.compile(
    r"(?i)\b(postage|shipping|carriage|delivery (fee|charge)|bank charges|commission|manual|samples?|bad debt|"
    r"livrare|transport|versand(kosten)?|frete|portes)\b"
)
# An order in one of these states is no sale: it was never paid, never sent, or taken back.
NO_SALE: Final = frozenset({
    "cancelled", "canceled", "refunded", "voided", "failed", "pending", "pending payment", "on-hold", "draft",
    "expired", "checkout-draft", "trash", "abandoned", "unpaid", "storniert", "anulat", "anulata", "anulată",
    "cancelado",
})  # fmt: skip
# What a shop writes where there is no customer.
NOBODY: Final = frozenset({"0", "-", "guest", "none", "null", "n/a", "nan", "unknown", "gast"})
